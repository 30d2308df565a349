// What the host knows of time zones with a name.

/** Formats by zone; there are some six hundred zones, but names are not case-sensitive. */
const formats = new Map<string, Intl.DateTimeFormat>();
const MOST = 256;

/** How many milliseconds the zone's clocks are ahead of UTC at an instant; undefined for a zone that the host does not know. */
export function zoneOffset(zone: string, at: number): number | undefined {
  try {
    let format = formats.get(zone);
    if (!format) {
      format = new Intl.DateTimeFormat("en-US", {
        timeZone: zone, hourCycle: "h23", year: "numeric", month: "numeric", day: "numeric", hour: "numeric", minute: "numeric", second: "numeric",
      });
      if (formats.size >= MOST) formats.clear();
      formats.set(zone, format);
    }
    const [month, day, year, hour, minute, second] = format.format(at).match(/\d+/g)!.map(Number) as [number, number, number, number, number, number];
    return Date.UTC(year, month - 1, day, hour, minute, second) - Math.floor(at / 1000) * 1000;
  } catch {
    // A name that is none, or an instant beyond the calendar.
    return undefined;
  }
}
