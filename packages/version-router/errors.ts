/** Errors with a stable code: callers and tests look at `code`, people read `message`. */
export class CodedError<Code extends string> extends Error {
  readonly code: Code;

  /** `message` is one sentence that says what is wrong and what to do next. */
  constructor(code: Code, message: string, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause });
    this.name = "CodedError";
    this.code = code;
  }
}

export type RouterErrorCode =
  | "E_BAD_REQUEST"
  | "E_NO_DATA_PATH"
  | "E_NO_DOMAIN"
  | "E_NO_ROUTER"
  | "E_NOT_ROOT"
  | "E_PORT_TAKEN"
  | "E_TOO_MANY_DOMAINS"
  | "E_KERNEL";

export class RouterError extends CodedError<RouterErrorCode> {}
