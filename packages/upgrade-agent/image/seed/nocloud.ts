/**
 * What cloud-init is told by a NoCloud disk (cloud-init's documentation, "NoCloud"): who the domain is, and how it gets
 * what our base has from the start. JSON is YAML too, so nothing is pasted into markup. Pure.
 */
import type { DomainIdentity } from "../../domain/hypervisor.ts";
import type { IsoFile } from "./iso.ts";

/** The label by which cloud-init finds the disk. */
export const seedLabel = "cidata";

const adoptPath = "/usr/local/sbin/vm-adopt";

/** `registerTool` is the text of `vm-register`. `instance` has to change when the same disk becomes another domain. */
export function noCloudFiles(identity: DomainIdentity, instance: string, registerTool: string): IsoFile[] {
  const file = (name: string, text: string): IsoFile => ({ name, contents: Buffer.from(text) });
  const metaData = { "instance-id": instance, "local-hostname": identity.hostname };
  return [
    file("meta-data", `${JSON.stringify(metaData)}\n`),
    file("user-data", `#cloud-config\n${JSON.stringify(userData(identity, registerTool))}\n`),
    file("network-config", `${JSON.stringify(networkConfig(identity))}\n`),
  ];
}

function userData(identity: DomainIdentity, registerTool: string): object {
  return {
    hostname: identity.hostname,
    manage_etc_hosts: true,
    // Nobody but root logs in, and only with the key of this domain.
    users: [{ name: "root", lock_passwd: false }],
    disable_root: false,
    ssh_pwauth: false,
    ssh_authorized_keys: [identity.authorizedKey],
    package_update: false,
    // There from the start in every image; making another would take longer than the rest.
    locale: "C.UTF-8",
    write_files: [
      { path: "/usr/bin/vm-register", permissions: "0755", content: registerTool },
      { path: "/run/version-manager/identity", permissions: "0644", content: facts(identity) },
      { path: adoptPath, permissions: "0755", content: adoptScript(identity) },
      { path: unitPath, permissions: "0644", content: unit },
    ],
    // Now, and at every later boot, which cloud-init takes for nothing new.
    runcmd: [
      [
        "sh",
        "-c",
        `systemctl daemon-reload 2>/dev/null && systemctl enable vm-adopt.service 2>/dev/null; ${adoptPath}`,
      ],
    ],
  };
}

/** The address is the node's own: nothing but the gateway is on the link. Version 2, as netplan reads it. */
function networkConfig({ link }: DomainIdentity): object {
  return {
    version: 2,
    ethernets: {
      eth0: {
        match: { macaddress: link.mac },
        "set-name": "eth0",
        dhcp4: false,
        dhcp6: false,
        "accept-ra": false,
        "link-local": link.address6 === undefined ? [] : ["ipv6"],
        mtu: link.mtu,
        addresses: [`${link.address}/32`, ...(link.address6 === undefined ? [] : [`${link.address6}/128`])],
        routes: [
          { to: "0.0.0.0/0", via: link.gateway, "on-link": true },
          ...(link.gateway6 === undefined ? [] : [{ to: "::/0", via: link.gateway6, "on-link": true }]),
        ],
      },
    },
  };
}

function facts({ hostname, service, version, link }: DomainIdentity): string {
  const [low, high] = link.ephemeralPorts;
  const lines = {
    HOSTNAME: hostname,
    ADDRESS: link.address,
    GATEWAY: link.gateway,
    ...(link.address6 === undefined ? {} : { ADDRESS6: link.address6, GATEWAY6: link.gateway6 }),
    MTU: link.mtu,
    MAC: link.mac,
    PORTS: `${low}-${high}`,
    SERVICE: service,
    VERSION: version,
  };
  return Object.entries(lines)
    .map(([name, value]) => `VM_${name}=${value}\n`)
    .join("");
}

const unitPath = "/etc/systemd/system/vm-adopt.service";
const unit = `[Unit]
Description=What a domain of Version Manager needs at every boot
After=network.target
[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=${adoptPath}
[Install]
WantedBy=multi-user.target
`;

/** Without an address of IPv6 a domain is not to look for one. */
function ipv6Lines({ address6, gateway6 }: DomainIdentity["link"]): string {
  if (address6 === undefined) return 'echo 1 >"/proc/sys/net/ipv6/conf/$interface/disable_ipv6" 2>/dev/null';
  return `echo 0 >"/proc/sys/net/ipv6/conf/$interface/disable_ipv6"
ip -6 address show dev "$interface" | grep -q "inet6 ${address6}/" || ip -6 address add ${address6}/128 dev "$interface" nodad
ip -6 route replace default via ${gateway6} dev "$interface"`;
}

/**
 * What network-config cannot say, and what a distribution's renderer may get wrong: a gateway outside of the address's
 * own network, the ports that this domain may call from, and datagrams that leave one by one.
 */
function adoptScript({ link, service, version }: DomainIdentity): string {
  const [low, high] = link.ephemeralPorts;
  return `#!/bin/sh
# Written by cloud-init for version ${version} of ${service}; safe to repeat.
for at in /sys/class/net/*; do
  [ "$(cat "$at/address")" = "${link.mac}" ] && interface=\${at##*/}
done
[ -n "$interface" ] || exit 1
ip link set dev "$interface" mtu ${link.mtu} up
ip -4 address show dev "$interface" | grep -q "inet ${link.address}/" || ip address add ${link.address}/32 dev "$interface"
ip route replace ${link.gateway}/32 dev "$interface" scope link
ip route replace default via ${link.gateway} dev "$interface"
${ipv6Lines(link)}
echo "${low} ${high}" >/proc/sys/net/ipv4/ip_local_port_range
ethtool -K "$interface" tx-udp-segmentation off 2>/dev/null
mkdir -p /opt /var/log /run/version-manager
exit 0
`;
}
