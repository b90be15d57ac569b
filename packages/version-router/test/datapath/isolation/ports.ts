/** The ports on which both versions listen. */
export const TCP_PORT = 7000;
export const UDP_PORT = 7001;
