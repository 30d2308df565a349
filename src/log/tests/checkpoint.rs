//! The checkpointer.

use super::*;

async fn desk(sim: &Sim, disk: &SimDisk, plan: StoragePlan) -> (Writer, Checkpointer) {
    let storage = disk.open(&sim.host(), plan);
    let writer = Writer::spawn(&sim.host(), storage, WriterConfig::default());
    let checkpoint = Checkpointer::new(&sim.host(), &writer, Key::root().part("cursor"));
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
fn ten_thousand_advances_cost_at_most_a_hundred_writes() {
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
fn it_never_goes_back() {
    let sim = Sim::new(1);
    let disk = SimDisk::new();
    let (_writer, checkpoint) = sim.block_on(desk(&sim, &disk, StoragePlan::default()));
    checkpoint.advance(Cursor::new(50));
    sim.block_on(checkpoint.flush()).unwrap();
    let (_writer, next) = sim.block_on(desk(&sim, &disk, StoragePlan::default()));
    assert_eq!(sim.block_on(next.load()), Ok(Cursor::new(50)));
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
fn it_tries_again_when_storage_refuses() {
    let sim = Sim::new(1);
    let disk = SimDisk::new();
    let mut plan = StoragePlan::default();
    for number in 1..4 {
        plan = plan.at(number, CommitFault::Fail(quota()));
    }
    let (_writer, checkpoint) = sim.block_on(desk(&sim, &disk, plan));
    checkpoint.advance(Cursor::new(7));
    sim.advance(Duration::from_secs(2));
    assert_eq!(checkpoint.last_error(), Some(quota()));
    sim.advance(Duration::from_secs(60));
    assert_eq!(stored(&disk), 7);
    assert_eq!(checkpoint.last_error(), None);
    assert_eq!(sim.armed_timers(), 0);
}

#[test]
fn the_planted_mistake_runs_ahead() {
    let sim = Sim::new(1);
    let disk = SimDisk::new();
    let host = sim.host().with_planted(Fault::CursorBeforeProjection);
    let writer = Writer::spawn(
        &host,
        disk.open(&host, StoragePlan::default()),
        WriterConfig::default(),
    );
    let checkpoint = Checkpointer::new(&host, &writer, Key::root().part("cursor"));
    checkpoint.advance(Cursor::new(7));
    sim.block_on(checkpoint.flush()).unwrap();
    assert!(stored(&disk) > 7);
}
