/**
 * The system calls of the relay, through koffi: each gives its result or `-errno`, never throws. Sockets whose source
 * is another machine's address and `splice` are not to be had from Node. See docs/decisions/0003 and 0007.
 */
import { constants } from "node:os";
import koffi from "koffi";

/** Numbers of Linux that are the same on x86-64 and arm64. */
export const LINUX = {
  AF_INET: 2,
  SOCK_STREAM: 1,
  SOCK_DGRAM: 2,
  SOCK_RAW: 3,
  SOCK_NONBLOCK: 0o4000,
  SOCK_CLOEXEC: 0o2000000,
  IPPROTO_IP: 0,
  IPPROTO_TCP: 6,
  IPPROTO_UDP: 17,
  IPPROTO_RAW: 255,
  SOL_SOCKET: 1,
  SO_REUSEADDR: 2,
  SO_ERROR: 4,
  SO_SNDBUF: 7,
  SO_RCVBUF: 8,
  SO_KEEPALIVE: 9,
  SO_LINGER: 13,
  SO_MARK: 36,
  IP_TRANSPARENT: 19,
  IP_RECVORIGDSTADDR: 20,
  TCP_NODELAY: 1,
  TCP_KEEPIDLE: 4,
  TCP_SAVE_SYN: 27,
  TCP_SAVED_SYN: 28,
  IFF_TUN: 1,
  IFF_NO_PI: 0x1000,
  TUNSETIFF: 0x400454ca,
  O_RDWR: 2,
  MSG_PEEK: 2,
  MSG_TRUNC: 0x20,
  MSG_DONTWAIT: 0x40,
  MSG_NOSIGNAL: 0x4000,
  SHUT_WR: 1,
  SPLICE_F_MOVE: 1,
  SPLICE_F_NONBLOCK: 2,
  EPOLL_CTL_ADD: 1,
  EPOLL_CTL_DEL: 2,
  EPOLLIN: 1,
  EPOLLOUT: 4,
  EPOLLERR: 8,
  EPOLLRDHUP: 0x2000,
  EPOLLET: 0x80000000,
} as const;

export const ERRNO = constants.errno;

type Int = number;
type Pointer = Buffer | null;

const libc = koffi.load("libc.so.6");

type Call<Args extends readonly unknown[]> = (...args: Args) => number;

/** Turns -1 and errno into `-errno`. */
function checked<Args extends readonly unknown[]>(call: Call<Args>): Call<Args> {
  return (...args) => {
    const result = call(...args);
    return result < 0 ? -koffi.errno() : result;
  };
}

export const sys = {
  socket: checked(libc.func("int socket(int, int, int)") as Call<[Int, Int, Int]>),
  bind: checked(libc.func("int bind(int, void *, int)") as Call<[Int, Pointer, Int]>),
  listen: checked(libc.func("int listen(int, int)") as Call<[Int, Int]>),
  accept4: checked(libc.func("int accept4(int, void *, void *, int)") as Call<[Int, Pointer, Pointer, Int]>),
  connect: checked(libc.func("int connect(int, void *, int)") as Call<[Int, Pointer, Int]>),
  getpeername: checked(libc.func("int getpeername(int, void *, void *)") as Call<[Int, Pointer, Pointer]>),
  getsockname: checked(libc.func("int getsockname(int, void *, void *)") as Call<[Int, Pointer, Pointer]>),
  getsockopt: checked(
    libc.func("int getsockopt(int, int, int, void *, void *)") as Call<[Int, Int, Int, Pointer, Pointer]>,
  ),
  setsockopt: checked(
    libc.func("int setsockopt(int, int, int, void *, int)") as Call<[Int, Int, Int, Pointer, Int]>,
  ),
  shutdown: checked(libc.func("int shutdown(int, int)") as Call<[Int, Int]>),
  close: checked(libc.func("int close(int)") as Call<[Int]>),
  read: checked(libc.func("long read(int, void *, size_t)") as Call<[Int, Pointer, Int]>),
  recv: checked(libc.func("long recv(int, void *, size_t, int)") as Call<[Int, Pointer, Int, Int]>),
  send: checked(libc.func("long send(int, void *, size_t, int)") as Call<[Int, Pointer, Int, Int]>),
  sendto: checked(
    libc.func("long sendto(int, void *, size_t, int, void *, int)") as Call<
      [Int, Pointer, Int, Int, Pointer, Int]
    >,
  ),
  open: checked(libc.func("int open(const char *, int)") as Call<[string, Int]>),
  ioctl: checked(libc.func("int ioctl(int, unsigned long, void *)") as Call<[Int, Int, Pointer]>),
  recvmmsg: checked(
    libc.func("int recvmmsg(int, void *, unsigned int, int, void *)") as Call<
      [Int, Pointer, Int, Int, Pointer]
    >,
  ),
  sendmmsg: checked(
    libc.func("int sendmmsg(int, void *, unsigned int, int)") as Call<[Int, Pointer, Int, Int]>,
  ),
  pipe2: checked(libc.func("int pipe2(void *, int)") as Call<[Pointer, Int]>),
  splice: checked(
    libc.func("long splice(int, void *, int, void *, size_t, unsigned int)") as Call<
      [Int, Pointer, Int, Pointer, Int, Int]
    >,
  ),
  eventfd: checked(libc.func("int eventfd(unsigned int, int)") as Call<[Int, Int]>),
  epollCreate1: checked(libc.func("int epoll_create1(int)") as Call<[Int]>),
  epollCtl: checked(libc.func("int epoll_ctl(int, int, int, void *)") as Call<[Int, Int, Int, Pointer]>),
  epollWait: checked(libc.func("int epoll_wait(int, void *, int, int)") as Call<[Int, Pointer, Int, Int]>),
};

/** Address of a buffer's bytes, for structs that point to others. The caller keeps the buffer for as long. */
export function addressOf(buffer: Buffer): bigint {
  return koffi.address(buffer);
}

/** `ECONNREFUSED` and the like for a negative result, for messages. */
export function errorName(result: number): string {
  const found = Object.entries(ERRNO).find(([, value]) => value === -result);
  return found?.[0] ?? `errno ${-result}`;
}
