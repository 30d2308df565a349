//! The checkpointer.

use super::*;

async fn desk(sim: &Sim, disk: &SimDisk, plan: StoragePlan) -> (Writer, Checkpointer) {
    desk_with(sim, disk, plan, |error| panic!("{error}"))
}

fn desk_with(
    sim: &Sim,
    disk: &SimDisk,
    plan: StoragePlan,
    on_error: impl Fn(StorageError) + 'static,
) -> (Writer, Checkpointer) {
    let storage = disk.open(&sim.host(), plan);
    let writer = Writer::spawn(&sim.host(), storage, WriterConfig::default());
    let key = Key::root().part("cursor");
    let checkpoint = Checkpointer::new(&sim.host(), &writer, key, on_error);
    (writer, checkpoint)
}

fn stored(disk: &SimDisk) -> u64 {
    let rows = disk.rows();
    let Some((key, bytes)) = rows.first() else {
        return 0;
    };
    value::decode::<Cursor>(key, bytes).unwrap().get()
}

#[test]
fn row_1_ten_thousand_advances_cost_at_most_a_hundred_writes() {
    for pause in [0, 1, 90, 5000] {
        let sim = Sim::new(1);
        let disk = SimDisk::new();
        let (_writer, checkpoint) = sim.block_on(desk(&sim, &disk, StoragePlan::default()));
        for n in 1..=10_000 {
            checkpoint.advance(Cursor::new(n));
            sim.advance(Duration::from_millis(pause));
            let row = stored(&disk);
            assert!(row <= n, "never ahead");
            assert!(row + 600 > n, "not far behind: {row} of {n}");
        }
        sim.advance(Duration::from_secs(10));
        assert!(checkpoint.writes() <= 100, "{} writes", checkpoint.writes());
        assert_eq!(disk.commits(), checkpoint.writes());
        sim.block_on(checkpoint.flush()).unwrap();
        assert_eq!(stored(&disk), 10_000);
        sim.block_on(checkpoint.flush()).unwrap();
        assert!(checkpoint.writes() <= 101, "flush writes what is new only");
        assert_eq!(sim.armed_timers(), 0);
    }
}

#[test]
fn row_2_it_never_goes_back() {
    let sim = Sim::new(1);
    let disk = SimDisk::new();
    let (_writer, checkpoint) = sim.block_on(desk(&sim, &disk, StoragePlan::default()));
    checkpoint.advance(Cursor::new(50));
    sim.block_on(checkpoint.flush()).unwrap();
    let (_writer, next) = sim.block_on(desk(&sim, &disk, StoragePlan::default()));
    assert_eq!(sim.block_on(next.load()), Ok(Some(Cursor::new(50))));
    next.advance(Cursor::new(30));
    assert_eq!(next.advanced().get(), 50);
    sim.advance(Duration::from_secs(5));
    assert_eq!(next.writes(), 0);
    next.advance(Cursor::new(51));
    sim.advance(Duration::from_secs(1));
    assert_eq!(stored(&disk), 51);
    assert_eq!(next.written().get(), 51);
}

#[test]
fn it_tries_again_when_storage_refuses_and_says_so() {
    let sim = Sim::new(1);
    let disk = SimDisk::new();
    let mut plan = StoragePlan::default();
    for number in 1..4 {
        plan = plan.at(number, CommitFault::Fail(quota()));
    }
    let told = Rc::new(Cell::new(0));
    let count = told.clone();
    let (_writer, checkpoint) = desk_with(&sim, &disk, plan, move |error| {
        assert_eq!(error, quota());
        count.set(count.get() + 1);
    });
    checkpoint.advance(Cursor::new(7));
    sim.advance(Duration::from_secs(1));
    assert_eq!((told.get(), stored(&disk)), (1, 0));
    sim.advance(Duration::from_secs(60));
    assert_eq!((told.get(), stored(&disk)), (3, 7));
    assert_eq!(sim.armed_timers(), 0);
}

#[test]
fn where_it_begins_travels_with_the_first_commit() {
    let sim = Sim::new(1);
    let disk = SimDisk::new();
    let plan = StoragePlan::default().at(1, CommitFault::Fail(quota()));
    let (writer, checkpoint) = sim.block_on(desk(&sim, &disk, plan));
    assert_eq!(sim.block_on(checkpoint.load()), Ok(None));
    checkpoint.begin(Cursor::START);
    sim.advance(Duration::from_secs(5));
    assert_eq!(disk.rows(), [], "it causes none");
    let other = || {
        writer.submit(Durability::Strict, |batch: &mut Batch| {
            batch.put(Key::root().part("other"), vec![]);
            Ok::<_, Infallible>(Staged::answer(()))
        })
    };
    assert!(sim.block_on(other()).is_err());
    assert_eq!(disk.rows(), []);
    // What is projected before the commit comes is not taken back by it.
    checkpoint.advance(Cursor::new(3));
    assert_eq!(sim.block_on(other()), Ok(()));
    assert_eq!(stored(&disk), 3);
    checkpoint.advance(Cursor::new(4));
    sim.block_on(checkpoint.flush()).unwrap();
    assert_eq!(stored(&disk), 4);
    // A row that is ahead of its log begins anew too.
    let (writer, checkpoint) = sim.block_on(desk(&sim, &disk, StoragePlan::default()));
    assert_eq!(sim.block_on(checkpoint.load()), Ok(Some(Cursor::new(4))));
    checkpoint.begin(Cursor::new(2));
    sim.block_on(writer.flush(Durability::Relaxed)).unwrap();
    assert_eq!(stored(&disk), 2);
    checkpoint.advance(Cursor::new(3));
    sim.advance(Duration::from_secs(1));
    assert_eq!(stored(&disk), 3);
}
