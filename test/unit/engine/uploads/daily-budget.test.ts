import { expect } from "chai";
import {
  dayOf,
  formatDay,
  parseDay,
  withUpload,
} from "../../../../src/engine/uploads/daily-budget.js";
import { fc } from "../../../support/properties.js";

describe("daily-budget", () => {
  it("dayOf() changes at the viewer's own midnight", () => {
    const noon = Date.UTC(2026, 10, 20, 12);
    const midnight = Date.UTC(2026, 10, 21);
    expect(dayOf(midnight, 0)).to.equal(dayOf(noon, 0) + 1);
    expect(dayOf(midnight - 1, 0)).to.equal(dayOf(noon, 0));
    // An hour east of Greenwich the day is an hour ahead.
    expect(dayOf(midnight - 3_600_000, -60)).to.equal(dayOf(noon, -60) + 1);
    expect(dayOf(midnight, 300)).to.equal(dayOf(noon, 300));
  });

  it("withUpload() adds up within a day and begins anew with the next, whichever that is", () => {
    const record = withUpload(withUpload(parseDay(undefined), 7, 100), 7, 50);
    expect(record).to.deep.equal({ day: 7, bytes: 150 });
    expect(withUpload(record, 8, 10)).to.deep.equal({ day: 8, bytes: 10 });
    expect(withUpload(record, 6, 10), "a clock set back").to.deep.equal({ day: 6, bytes: 10 });
  });

  it("parseDay() reads what formatDay() wrote, and takes anything else for nothing", () => {
    fc.assert(
      fc.property(fc.nat(), fc.nat(), (day, bytes) => {
        expect(parseDay(formatDay({ day, bytes }))).to.deep.equal({ day, bytes });
      }),
    );
    for (const text of ["", "x", "7", "7 -1", "7 1.5", "NaN NaN", "{}"])
      expect(parseDay(text), text).to.deep.equal({ day: 0, bytes: 0 });
  });
});
