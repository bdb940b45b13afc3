use jobkeep_store::{Encoded, JobNumber, JobRecord, Key, Place, open_row};

use crate::records;

const KEY: Key = Key::live(JobNumber(42));

#[test]
fn a_place_is_the_front_of_its_record() {
    for record in records::all() {
        let row = Encoded::new(&record).unwrap().seal(KEY);
        let place: Place<'_> = open_row(KEY, &row).unwrap();
        let expected = Place {
            state: record.state.clone(),
            queue: record.queue.as_str(),
            priority: record.priority,
            order: record.order,
            name: &record.name,
        };
        assert_eq!(place, expected);
        assert_eq!(open_row::<JobRecord>(KEY, &row).unwrap(), record);
    }
}

#[test]
fn a_place_is_read_however_much_follows_it() {
    let record = records::ready();
    let mut longer = record.clone();
    longer.history = vec![records::failed().history[0].clone(); 1_000];
    let [row, longer] = [record, longer].map(|record| Encoded::new(&record).unwrap().seal(KEY));
    assert!(longer.len() > 100 * row.len());
    let place: Place<'_> = open_row(KEY, &row).unwrap();
    assert_eq!(open_row::<Place<'_>>(KEY, &longer).unwrap(), place);
}
