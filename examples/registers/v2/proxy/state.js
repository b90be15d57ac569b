/** What the three proxy modules share: a register's state on its way from version 1 to version 2. */
const STAMPED_IN_ONE_WORD = 2;

/** Version 1 says sequence and operation, version 2 both in one word. */
export function stampOf({ sequence, operation }) {
  return `${sequence}/${operation}`;
}

/** Whether the version is spoken to as version 2 wants it. */
export function isNew(version) {
  return version >= STAMPED_IN_ONE_WORD;
}

/** Names a write, so that it is done once, whichever versions get it. */
export function operationNames() {
  const names = new WeakMap();
  const process = `${Date.now().toString(36)}${Math.random().toString(36).slice(2, 8)}`;
  let count = 0;
  return (request) => {
    const known = names.get(request);
    if (known !== undefined) return known;
    count += 1;
    const name = `${process}.${count}`;
    names.set(request, name);
    return name;
  };
}
