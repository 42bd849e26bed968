// Who listens to a map.

/** @returns {{on: (name: string, handler: Function) => () => void, emit: (name: string, what: object) => void}} */
export function createMapEvents() {
  const handlers = new Map();
  return {
    on(name, handler) {
      if (!handlers.has(name)) handlers.set(name, new Set());
      handlers.get(name).add(handler);
      return () => handlers.get(name).delete(handler);
    },
    emit(name, what) {
      for (const handler of [...(handlers.get(name) ?? [])]) handler(what);
    },
  };
}
