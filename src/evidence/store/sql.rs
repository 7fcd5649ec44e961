//! All SQL: the tables, and what is asked of them.

/// The tables, from nothing to version 1. What came later is in [`VERSION_2`] and [`VERSION_3`].
pub(super) const TABLES: &str = "
CREATE TABLE word (id INTEGER PRIMARY KEY, text TEXT NOT NULL UNIQUE);
-- A report that was taken. rows: what it added, so that a fuller one can take its place.
CREATE TABLE report (
    reporter INTEGER NOT NULL, domain INTEGER NOT NULL, report_id TEXT NOT NULL,
    begin INTEGER NOT NULL, end INTEGER NOT NULL,
    day INTEGER NOT NULL, messages INTEGER NOT NULL, flags INTEGER NOT NULL,
    received INTEGER NOT NULL, rows BLOB,
    PRIMARY KEY (reporter, domain, report_id, begin, end)
) WITHOUT ROWID;
CREATE INDEX report_received ON report (received);
CREATE INDEX report_domain ON report (domain, day);
-- Days are counted from 1 January 1970; sender is the From domain; network is a word, or 0.
CREATE TABLE fact (
    domain INTEGER NOT NULL, day INTEGER NOT NULL, sender INTEGER NOT NULL,
    reporter INTEGER NOT NULL, identity INTEGER NOT NULL, flags INTEGER NOT NULL,
    network INTEGER NOT NULL, messages INTEGER NOT NULL,
    PRIMARY KEY (domain, day, sender, reporter, identity, flags, network)
) WITHOUT ROWID;
CREATE TABLE source (
    domain INTEGER NOT NULL, identity INTEGER NOT NULL, address BLOB NOT NULL,
    first INTEGER NOT NULL, last INTEGER NOT NULL, messages INTEGER NOT NULL,
    PRIMARY KEY (domain, identity, address)
) WITHOUT ROWID;
-- policy is a word: the tags of the record as the reporter saw it, and whether the report is known
-- to be real.
CREATE TABLE policy (
    domain INTEGER NOT NULL, day INTEGER NOT NULL, policy INTEGER NOT NULL,
    reports INTEGER NOT NULL,
    PRIMARY KEY (domain, day, policy)
) WITHOUT ROWID;
-- The operator's word for a stream.
CREATE TABLE name (
    domain TEXT NOT NULL, stream TEXT NOT NULL, class TEXT NOT NULL,
    label TEXT, owner TEXT, since INTEGER NOT NULL,
    PRIMARY KEY (domain, stream)
) WITHOUT ROWID;
-- On which day something that is done once a day was done last.
CREATE TABLE chore (name TEXT PRIMARY KEY, day INTEGER NOT NULL) WITHOUT ROWID;
";

/// From version 1 to 2. number: how often something was done with reports, by kind and word.
/// latest: the last second that a report of the domain is about. networks: those that sent the
/// stream when it was named, with blanks between.
pub(super) const VERSION_2: &str = "
CREATE TABLE number (
    kind TEXT NOT NULL, word TEXT NOT NULL, number INTEGER NOT NULL,
    PRIMARY KEY (kind, word)
) WITHOUT ROWID;
CREATE TABLE latest (domain INTEGER PRIMARY KEY, end INTEGER NOT NULL);
ALTER TABLE name ADD COLUMN networks TEXT NOT NULL DEFAULT '';
INSERT INTO latest SELECT domain, max(end) FROM report GROUP BY domain;
";

/// From version 2 to 3. A record is kept by who saw it: reporter is a word, or 0 where it is
/// forgotten; then each of `reports` stands for one of them. confirmed: on which day the operator
/// said that all who send are known.
pub(super) const VERSION_3: &str = "
ALTER TABLE policy RENAME TO earlier_policy;
CREATE TABLE policy (
    domain INTEGER NOT NULL, day INTEGER NOT NULL, policy INTEGER NOT NULL,
    reporter INTEGER NOT NULL, reports INTEGER NOT NULL,
    PRIMARY KEY (domain, day, policy, reporter)
) WITHOUT ROWID;
INSERT INTO policy SELECT domain, day, policy, 0, reports FROM earlier_policy;
DROP TABLE earlier_policy;
CREATE TABLE confirmed (domain TEXT PRIMARY KEY, day INTEGER NOT NULL) WITHOUT ROWID;
";

pub(super) const FIND_WORD: &str = "SELECT id FROM word WHERE text = ?1";
pub(super) const ADD_WORD: &str = "INSERT INTO word (text) VALUES (?1)";
pub(super) const FIND_REPORT: &str = "SELECT messages, flags, rows FROM report WHERE reporter = ?1 \
    AND domain = ?2 AND report_id = ?3 AND begin = ?4 AND end = ?5";
pub(super) const ADD_REPORT: &str = "INSERT OR REPLACE INTO report (reporter, domain, report_id, begin, end, \
    day, messages, flags, received, rows) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)";
pub(super) const ADD_FACT: &str = "INSERT INTO fact (domain, day, sender, reporter, identity, flags, network, \
    messages) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8) \
    ON CONFLICT DO UPDATE SET messages = messages + excluded.messages";
pub(super) const CLEAR_FACTS: &str =
    "DELETE FROM fact WHERE domain = ?1 AND day = ?2 AND messages <= 0";
pub(super) const ADD_SOURCE: &str = "INSERT INTO source (domain, identity, address, first, last, messages) \
    VALUES (?1, ?2, ?3, ?4, ?5, ?6) ON CONFLICT DO UPDATE SET first = min(first, excluded.first), \
    last = max(last, excluded.last), messages = messages + excluded.messages";
pub(super) const ADD_POLICY: &str = "INSERT INTO policy (domain, day, policy, reporter, reports) \
    VALUES (?1, ?2, ?3, ?4, ?5) ON CONFLICT DO UPDATE SET reports = reports + excluded.reports";

pub(super) const FACTS: &str = "SELECT fact.day, sender.text, reporter.text, fact.identity, known.text, \
    fact.flags, network.text, fact.messages FROM fact \
    JOIN word AS sender ON sender.id = fact.sender \
    LEFT JOIN word AS reporter ON reporter.id = fact.reporter \
    JOIN word AS known ON known.id = fact.identity \
    LEFT JOIN word AS network ON network.id = fact.network \
    WHERE fact.domain = ?1 AND fact.messages > 0 ORDER BY fact.day";
pub(super) const SOURCES: &str = "SELECT identity, address, first, last, messages FROM source \
    WHERE domain = ?1 AND messages > 0";
pub(super) const REPORTS: &str = "SELECT flags, count(*) FROM report WHERE domain = ?1 \
    AND day BETWEEN ?2 AND ?3 GROUP BY flags";
pub(super) const POLICIES: &str = "SELECT policy.day, word.text, policy.reports, reporter.text \
    FROM policy JOIN word ON word.id = policy.policy \
    LEFT JOIN word AS reporter ON reporter.id = policy.reporter \
    WHERE policy.domain = ?1 AND policy.reports > 0 ORDER BY policy.day";
/// On which day the first report of each reporter came in.
pub(super) const FIRST_RECEIVED: &str = "SELECT word.text, report.flags, min(report.received) \
    FROM report JOIN word ON word.id = report.reporter WHERE report.domain = ?1 \
    GROUP BY report.reporter, report.flags";
pub(super) const NAMES: &str =
    "SELECT stream, class, label, owner, networks FROM name WHERE domain = ?1";
pub(super) const SET_NAME: &str = "INSERT OR REPLACE INTO name (domain, stream, class, label, owner, since, \
    networks) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)";
pub(super) const DROP_NAME: &str = "DELETE FROM name WHERE domain = ?1 AND stream = ?2";
pub(super) const CONFIRMED: &str = "SELECT day FROM confirmed WHERE domain = ?1";
pub(super) const CONFIRM: &str = "INSERT OR REPLACE INTO confirmed (domain, day) VALUES (?1, ?2)";

pub(super) const LAST_CHORE: &str = "SELECT day FROM chore WHERE name = 'forget'";
pub(super) const SET_CHORE: &str = "INSERT OR REPLACE INTO chore (name, day) VALUES ('forget', ?1)";
/// Facts of before this day, summed over reporters.
pub(super) const JOIN_REPORTERS: &str = "INSERT INTO fact SELECT domain, day, sender, 0, identity, flags, \
    network, sum(messages) FROM fact WHERE day < ?1 AND reporter <> 0 \
    GROUP BY domain, day, sender, identity, flags, network \
    ON CONFLICT DO UPDATE SET messages = messages + excluded.messages";
pub(super) const DROP_REPORTERS: &str = "DELETE FROM fact WHERE day < ?1 AND reporter <> 0";
/// Records of before this day, each with how many reporters saw it.
pub(super) const JOIN_POLICIES: &str = "INSERT INTO policy SELECT domain, day, policy, 0, count(*) \
    FROM policy WHERE day < ?1 AND reporter <> 0 AND reports > 0 GROUP BY domain, day, policy \
    ON CONFLICT DO UPDATE SET reports = reports + excluded.reports";
pub(super) const DROP_POLICY_REPORTERS: &str =
    "DELETE FROM policy WHERE day < ?1 AND reporter <> 0";
pub(super) const DROP_SOURCES: &str = "DELETE FROM source WHERE last < ?1";
pub(super) const DROP_ROWS: &str = "UPDATE report SET rows = NULL \
    WHERE (received < ?1 OR day < ?2) AND rows IS NOT NULL";
pub(super) const DROP_OLD: [&str; 4] = [
    "DELETE FROM latest WHERE end < ?1 * 86400",
    "DELETE FROM fact WHERE day < ?1",
    "DELETE FROM report WHERE day < ?1",
    "DELETE FROM policy WHERE day < ?1",
];
pub(super) const DROP_DOMAIN: [&str; 5] = [
    "DELETE FROM latest WHERE domain = ?1",
    "DELETE FROM fact WHERE domain = ?1",
    "DELETE FROM source WHERE domain = ?1",
    "DELETE FROM report WHERE domain = ?1",
    "DELETE FROM policy WHERE domain = ?1",
];
/// What the operator said.
pub(super) const DROP_SAID: [&str; 2] = [
    "DELETE FROM name WHERE domain = ?1",
    "DELETE FROM confirmed WHERE domain = ?1",
];
pub(super) const DROP_WORDS: &str = "DELETE FROM word WHERE id NOT IN (SELECT domain FROM fact \
    UNION SELECT sender FROM fact UNION SELECT reporter FROM fact UNION SELECT identity FROM fact \
    UNION SELECT network FROM fact UNION SELECT identity FROM source \
    UNION SELECT domain FROM source UNION SELECT reporter FROM report \
    UNION SELECT domain FROM report UNION SELECT domain FROM policy \
    UNION SELECT policy FROM policy UNION SELECT reporter FROM policy UNION SELECT domain FROM latest)";

pub(super) const ADD_NUMBER: &str = "INSERT INTO number (kind, word, number) VALUES (?1, ?2, ?3) \
    ON CONFLICT DO UPDATE SET number = number + excluded.number";
pub(super) const NUMBERS: &str = "SELECT kind, word, number FROM number";
pub(super) const SET_LATEST: &str = "INSERT INTO latest (domain, end) VALUES (?1, ?2) \
    ON CONFLICT DO UPDATE SET end = max(end, excluded.end)";
pub(super) const LATEST: &str =
    "SELECT word.text, latest.end FROM latest JOIN word ON word.id = latest.domain";
pub(super) const OCTETS: &str =
    "SELECT page_count * page_size FROM pragma_page_count(), pragma_page_size()";
/// What runs by itself, or is no table.
pub(super) const FOREIGN: &str =
    "SELECT count(*) FROM sqlite_schema WHERE type IN ('trigger', 'view')";
