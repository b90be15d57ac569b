/** IPv4 addresses as numbers in host order. Pure. */

export interface Endpoint {
  readonly address: number;
  readonly port: number;
}

export function parseAddress(text: string): number {
  return text.split(".").reduce((number, part) => number * 256 + Number(part), 0);
}

export function formatAddress(address: number): string {
  return [24, 16, 8, 0].map((shift) => (address >>> shift) & 0xff).join(".");
}
