/**
 * What the commands of Redis do, as far as the policies must know. A command that is not listed is taken for a write
 * that touches everything: slow, and right.
 */
import { ALL_KEYS, type Classified } from "../classified.ts";
import type { RespRequest } from "./readers.ts";

const words = (text: string): ReadonlySet<string> => new Set(text.trim().split(/\s+/));

const READS = words(`
  GET MGET STRLEN GETRANGE SUBSTR LCS GETBIT BITCOUNT BITPOS EXISTS TYPE TTL PTTL EXPIRETIME PEXPIRETIME OBJECT DUMP
  KEYS SCAN RANDOMKEY DBSIZE HGET HMGET HGETALL HKEYS HVALS HLEN HEXISTS HSTRLEN HSCAN HRANDFIELD
  LRANGE LLEN LINDEX LPOS SMEMBERS SISMEMBER SMISMEMBER SCARD SRANDMEMBER SINTER SINTERCARD SUNION SDIFF SSCAN
  ZRANGE ZRANGEBYSCORE ZRANGEBYLEX ZREVRANGE ZREVRANGEBYSCORE ZREVRANGEBYLEX ZSCORE ZMSCORE ZCARD ZCOUNT ZLEXCOUNT
  ZRANK ZREVRANK ZSCAN ZRANDMEMBER ZINTER ZUNION ZDIFF ZINTERCARD PFCOUNT GEOPOS GEODIST GEOHASH GEOSEARCH
  XRANGE XREVRANGE XLEN XINFO PING ECHO TIME INFO COMMAND LASTSAVE MEMORY SLOWLOG LATENCY QUIT`);

const WRITES_OF_FIRST = words(`
  SET SETEX PSETEX SETNX GETSET GETDEL GETEX APPEND INCR DECR INCRBY DECRBY INCRBYFLOAT SETRANGE SETBIT BITFIELD
  EXPIRE PEXPIRE EXPIREAT PEXPIREAT PERSIST RESTORE HSET HSETNX HMSET HDEL HINCRBY HINCRBYFLOAT
  LPUSH RPUSH LPUSHX RPUSHX LPOP RPOP LSET LREM LTRIM LINSERT SADD SREM SPOP
  ZADD ZREM ZINCRBY ZPOPMIN ZPOPMAX ZREMRANGEBYRANK ZREMRANGEBYSCORE ZREMRANGEBYLEX PFADD GEOADD XADD XDEL XTRIM`);

const WRITES_OF_TWO = words("RENAME RENAMENX COPY SMOVE LMOVE RPOPLPUSH ZRANGESTORE");
const WRITES_OF_REST = words("DEL UNLINK TOUCH PFMERGE SINTERSTORE SUNIONSTORE SDIFFSTORE");
const WRITES_OF_PAIRS = words("MSET MSETNX");
const SESSION = words("AUTH HELLO SELECT READONLY READWRITE");
const SESSION_CLIENT = words("SETNAME SETINFO NO-EVICT NO-TOUCH");

/** They bind several commands, or answer without being asked, or block the connection: one service out of two cannot. */
const NOT_CARRIED = words(`
  MULTI EXEC DISCARD WATCH UNWATCH SUBSCRIBE PSUBSCRIBE SSUBSCRIBE UNSUBSCRIBE PUNSUBSCRIBE SUNSUBSCRIBE MONITOR SYNC
  PSYNC RESET BLPOP BRPOP BLMOVE BLMPOP BRPOPLPUSH BZPOPMIN BZPOPMAX BZMPOP XREAD XREADGROUP WAIT WAITAOF SHUTDOWN`);

export function classifyResp(request: RespRequest): Classified {
  const { name } = request;
  const keys = request.words.slice(1).map((word) => word.toString("latin1"));
  const [first = "", second = ""] = keys;
  if (READS.has(name)) return { kind: "read" };
  if (WRITES_OF_FIRST.has(name)) return { kind: "write", key: first };
  if (WRITES_OF_TWO.has(name)) return { kind: "write", key: [first, second] };
  if (WRITES_OF_REST.has(name)) return { kind: "write", key: keys };
  if (WRITES_OF_PAIRS.has(name)) return { kind: "write", key: keys.filter((_key, index) => index % 2 === 0) };
  if (SESSION.has(name)) return { kind: "session", key: name };
  if (name === "CLIENT") return classifyClient(first.toUpperCase(), second.toUpperCase());
  return { kind: "write", key: ALL_KEYS };
}

function classifyClient(what: string, attribute: string): Classified {
  if (!SESSION_CLIENT.has(what)) return { kind: "read" };
  return { kind: "session", key: what === "SETINFO" && attribute === "LIB-VER" ? "SETINFO LIB-VER" : what };
}

/** Why the command cannot be carried, undefined when it can. */
export function notCarried(request: RespRequest): string | undefined {
  const { name } = request;
  const what = name === "CLIENT" ? (request.words[1]?.toString("latin1").toUpperCase() ?? "") : "";
  const refused = NOT_CARRIED.has(name) || ["REPLY", "TRACKING", "CACHING", "PAUSE", "KILL"].includes(what);
  return refused ? `${name}${what && ` ${what}`} cannot be carried while several versions run` : undefined;
}
