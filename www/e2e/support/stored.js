// What is stored, read without our code: plain JavaScript, the browser's IndexedDB, and the format that the rows have.
// A value is one byte with the format's version and then JSON. Chunks of a log hold rows of [number, entry].
(async (name) => {
  const done = (request) => new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
    request.onupgradeneeded = () => request.transaction.abort();
  });
  const database = await done(indexedDB.open(`mobkit-web/${name}`));
  const store = database.transaction("rows").objectStore("rows");
  const [keys, values] = await Promise.all([done(store.getAllKeys()), done(store.getAll())]);
  database.close();
  const found = { ledger: [], events: [], session: [], box: [], turn: [], interaction: [], member: [], edge: [] };
  keys.forEach((key, at) => {
    const [, , table, ...rest] = key.split("/");
    if (!(table in found) || ((table === "ledger" || table === "events") && rest[0] !== "c")) return;
    const value = JSON.parse(new TextDecoder().decode(values[at].subarray(1)));
    found[table].push(...(value.rows ?? [{ key, ...value }]));
  });
  return found;
})
