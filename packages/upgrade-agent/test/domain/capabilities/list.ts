/** What a hypervisor can, by name: the rows of docs/HYPERVISORS.md, in this order. Pure. */
export const CAPABILITIES = {
  "define, start, stop":
    "a domain is defined, started, listed, stopped and removed; doing so again changes nothing",
  kill: "a domain that is killed or crashes is seen as stopped, and can be made anew",
  "orderly shutdown": "the guest is asked to stop and does, within a deadline",
  "save and restore": "a running guest is saved and goes on as a clone: warm spares",
  events: "every change of state is told once, the present states first",
  "one at a time": "calls about one domain at the same moment take turns; one that is aborted leaves nothing",
  "foreign domains": "domains of others are neither seen nor touched",
  "refuses nonsense": "a wrong description is refused before libvirt sees it",
  "cleans up": "a start that fails at any step leaves nothing behind",
  "libvirtd killed": "libvirtd is killed while domains start and end: nothing is lost, nothing is left",
  console: "what the guest prints is kept, also after it is gone",
  "console bound": "a guest that prints without end does not fill the host's disk",
  "memory limit": "a guest that takes more memory than it was given is stopped in that, not the host",
  "vCPU limit": "a guest computes on as many processors as it was given",
  "private disk": "two guests of one base do not see each other's writes; the base stays as it is",
  "disk size": "a guest that fills its disk gets an error; the file on the host stays within the bound",
  "disk rate": "a guest reads and writes no faster than it may",
  "network rate": "a guest sends and receives no faster than it may",
  "own link": "the guest's only interface is the router's link, with the MAC address that it was given",
} as const;

export type Capability = keyof typeof CAPABILITIES;
