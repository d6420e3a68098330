//! Tests that the folder of an earlier version is moved to this one.

use super::*;

/// The tables of the first version, in which ids ended with the number of forks.
const FIRST: &str = "
    CREATE TABLE progress (
        sale TEXT NOT NULL, reader TEXT NOT NULL, cursor TEXT,
        fence INTEGER NOT NULL DEFAULT 0, generation INTEGER NOT NULL DEFAULT 0, gone_url TEXT
    );
    CREATE TABLE webhooks (
        position INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL, reservation TEXT NOT NULL,
        cursor TEXT, sequence INTEGER, place INTEGER, at TEXT NOT NULL, body TEXT NOT NULL,
        delivered INTEGER NOT NULL DEFAULT 0
    );
    CREATE INDEX waiting ON webhooks (reservation, position) WHERE delivered = 0;
    CREATE INDEX changes ON webhooks (sequence, place);
    CREATE TABLE queues (
        reservation TEXT PRIMARY KEY, head INTEGER NOT NULL, attempts INTEGER NOT NULL DEFAULT 0,
        due INTEGER NOT NULL DEFAULT 0, dead INTEGER NOT NULL DEFAULT 0, error TEXT, failing_since INTEGER
    ) WITHOUT ROWID;
    CREATE INDEX fresh ON queues (head) WHERE attempts = 0;
    CREATE INDEX failed ON queues (due) WHERE attempts > 0;
    INSERT INTO progress VALUES ('car', 'orders', '3-0/1~x', 7, 2, NULL);
    INSERT INTO webhooks (id, reservation, cursor, sequence, place, at, body, delivered) VALUES
        ('car/1/1', 'a', '1-0/1~x', 1, 1, 'then', '{}', 1),
        ('car/2/1/1/rescinded', 'a', NULL, NULL, NULL, 'then', '{}', 0),
        ('car/2/1/2', 'a', '2-0/1~x', 2, 1, 'then', '{}', 0),
        ('car/3/1/2', 'b', '3-0/1~x', 3, 1, 'then', '{\"type\":\"reservation.held\"}', 0);
    INSERT INTO queues (reservation, head) VALUES ('a', 2), ('b', 4);
    PRAGMA user_version = 1;
";

#[test]
fn what_an_earlier_version_has_stored_keeps_its_ids_and_what_follows_has_the_new_ones() {
    let folder = folder();
    let file = folder.path().join("outbox.sqlite");
    rusqlite::Connection::open(&file).unwrap().execute_batch(FIRST).unwrap();
    // An operator's command changes no version: the earlier relay may still run.
    drop(Outbox::open_beside(folder.path()).unwrap());
    let version = |outbox: &Outbox| -> (i64, i64) {
        let columns = "SELECT count(*) FROM pragma_table_info('progress') WHERE name = 'generation'";
        let columns = outbox.connection.query_row(columns, (), |row| row.get(0)).unwrap();
        (outbox.connection.pragma_query_value(None, "user_version", |row| row.get(0)).unwrap(), columns)
    };
    assert_eq!(version(&Outbox::open_beside(folder.path()).unwrap()), (1, 1));
    for _ in 0..2 {
        let outbox = open(&folder);
        assert_eq!((version(&outbox), outbox.cursor().unwrap().as_deref()), ((2, 0), Some("3-0/1~x")));
        assert_eq!((outbox.waiting, outbox.delivered), (3, 1));
    }
    let mut outbox = open(&folder);
    assert_eq!(outbox.last_known(&[change(2, "a", "x"), change(3, "b", "y")]).unwrap(), Some(0));
    outbox.store(&page(&[change(4, "b", "")]), 7).unwrap();
    assert_eq!(deliver(&mut outbox, 9), ["car/2/1/1/rescinded", "car/3/1/2"]);
    assert_eq!(deliver(&mut outbox, 9), ["car/2/1/2", "car/4/1/x"]);
    outbox.rescind("2-0/1~x", 7, NOW).unwrap();
    assert_eq!(deliver(&mut outbox, 9), ["car/4/1/x/rescinded/0"]);
    assert_eq!(deliver(&mut outbox, 9), ["car/3/1/2/rescinded/0"]);
}
