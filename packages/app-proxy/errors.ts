/** Errors of the framework. This package has no dependency on the others, so the class is its own. */
export type ProxyErrorCode =
  | "E_BUFFER_GIVEN"
  | "E_CONNECTION_OVER"
  | "E_HANDLER"
  | "E_LAUNCH"
  | "E_MESSAGE_TOO_LARGE"
  | "E_MODULE"
  | "E_NO_SUCH_VERSION";

/** Callers and tests look at `code`, people read `message`: one sentence that says what to do next. */
export class ProxyError extends Error {
  readonly code: ProxyErrorCode;

  constructor(code: ProxyErrorCode, message: string, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause });
    this.name = "ProxyError";
    this.code = code;
  }
}
