/** Errors of the testbed: callers and tests look at `code`, people read `message`. */
export type TestbedErrorCode =
  | "E_BAD_REQUEST"
  | "E_NO_TESTBED"
  | "E_NOT_ROOT"
  | "E_TESTBED_BUSY"
  | "E_TESTBED_COMMAND"
  | "E_TESTBED_EXISTS"
  | "E_TESTBED_NODE"
  | "E_TESTBED_RESIDUE";

export class TestbedError extends Error {
  readonly code: TestbedErrorCode;

  /** `message` is one sentence that says what is wrong and what to do next. */
  constructor(code: TestbedErrorCode, message: string, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause });
    this.name = "TestbedError";
    this.code = code;
  }
}
