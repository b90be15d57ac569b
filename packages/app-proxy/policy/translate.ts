/** Translation in steps of one version, put together to reach any version that runs. */

/** Between a version and the one before it. What is left out changes nothing. */
export interface TranslationStep<Request, Reply> {
  /** A request of the version before, as this one wants it. */
  readonly requestUp?: (request: Request) => Request;
  /** A reply of this version, as clients of the one before want it. */
  readonly replyDown?: (reply: Reply, request: Request) => Reply;
  /** A request of this version, as the one before wants it. */
  readonly requestDown?: (request: Request) => Request;
  /** A reply of the version before, as clients of this one want it. */
  readonly replyUp?: (reply: Reply, request: Request) => Reply;
}

export interface Translation<Request, Reply> {
  readonly transformRequest: (request: Request, version: number) => Request;
  readonly transformReply: (reply: Reply, version: number, request: Request) => Reply;
}

/**
 * Options for a proxy whose clients speak `clientVersion`: `createProxy({ …, ...translateSteps(1, { 2: …, 3: … }) })`.
 * A step's number is its newer version; the functions of a reply get the request as the client sent it.
 */
export function translateSteps<Request, Reply>(
  clientVersion: number,
  steps: Readonly<Record<number, TranslationStep<Request, Reply>>>,
): Translation<Request, Reply> {
  const ascending = Object.keys(steps)
    .map(Number)
    .toSorted((left, right) => left - right);
  const newer = (version: number) => ascending.filter((step) => step > clientVersion && step <= version);
  const older = (version: number) => ascending.filter((step) => step > version && step <= clientVersion);
  return {
    transformRequest: (request, version) => {
      let result = request;
      for (const step of newer(version)) result = steps[step]?.requestUp?.(result) ?? result;
      for (const step of older(version).toReversed()) result = steps[step]?.requestDown?.(result) ?? result;
      return result;
    },
    transformReply: (reply, version, request) => {
      let result = reply;
      for (const step of newer(version).toReversed())
        result = steps[step]?.replyDown?.(result, request) ?? result;
      for (const step of older(version)) result = steps[step]?.replyUp?.(result, request) ?? result;
      return result;
    },
  };
}
