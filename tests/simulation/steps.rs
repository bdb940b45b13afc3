//! What may happen in a history, drawn from a seed.

/// The same numbers for the same seed.
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) fn new(seed: u64) -> Self {
        // Near seeds give far numbers.
        Self((seed ^ 0x5851_f42d_4c95_7f2d).wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub(crate) fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) % limit
    }

    fn one_in(&mut self, of: u64) -> bool {
        self.below(of) == 0
    }

    fn number(&mut self) -> usize {
        usize::try_from(self.below(1 << 16)).unwrap()
    }
}

/// When a new job is ready.
#[derive(Clone, Copy, Debug)]
pub(crate) enum When {
    Now,
    /// So many milliseconds later, by the steady clock.
    After(u64),
    /// So many milliseconds from the wall clock's present.
    At(u64),
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct New {
    pub(crate) queue: usize,
    pub(crate) priority: usize,
    pub(crate) when: When,
    pub(crate) key: Option<u64>,
    pub(crate) large: bool,
    pub(crate) attempts: u32,
    pub(crate) timeout: Option<u64>,
    pub(crate) buffered: bool,
}

/// How an attempt ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    Succeed,
    /// With jobs that follow: so many, with a key or without.
    Follow(u64, Option<u64>),
    Fail,
    RetryAfter(u64),
    Permanent,
    Panic,
    Snooze(u64),
    Cancel,
}

/// What befalls the store in a turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Bad {
    /// The n-th commit fails, with nothing written.
    Commit(u64),
    /// The n-th commit fails, though everything was written.
    CommitDone(u64),
    /// The n-th commit fails, and nothing works before the store was opened anew.
    UntilReopened(u64),
    /// The disk is full, and stays so until it is said otherwise.
    Full,
    /// A sync fails: written or not.
    Unknown(bool),
    /// The n-th commit fails, and the store cannot be opened anew.
    Reopen(u64),
    /// The n-th read fails.
    Get(u64),
    /// The n-th scan fails.
    Scan(u64),
}

/// One step. Where it names a job or an attempt it counts around those that there are, so that it
/// means something whatever happened before.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Step {
    Enqueue(New),
    Batch(New, New),
    Turn,
    BadTurn(Bad),
    /// Everything that was full has room again.
    Heal,
    /// A worker of this queue takes a job and begins.
    Take(usize),
    Checkpoint(usize),
    End(usize, End),
    Cancel(usize),
    Retry(usize),
    Amend(usize),
    Remove(usize),
    Pause(usize),
    Resume(usize),
    Advance(u64),
    /// The wall clock is set, so many milliseconds back or forward.
    SetWall(i64),
    /// The process dies between two turns.
    Crash,
    /// It dies, and when the next one comes the wall clock shows so many milliseconds more or less.
    Away(i64),
    /// The process dies inside a commit, which took effect or not.
    Torn(bool),
    /// The store is opened, and that fails at the n-th operation; then once more.
    BadOpen(u64),
    /// A shutdown in order: so many turns in which workers may end, and then it is over.
    ShutDown(usize),
    /// Another process takes the store, while this one believes to have it.
    Usurp,
}

fn new(dice: &mut Dice) -> New {
    New {
        queue: usize::from(dice.one_in(3)),
        priority: dice.number(),
        when: match dice.below(8) {
            0 => When::After(1_000 * dice.below(120)),
            1 => When::At(1_000 * dice.below(120)),
            _ => When::Now,
        },
        key: dice.one_in(4).then(|| dice.below(6)),
        large: dice.one_in(6),
        attempts: u32::try_from(1 + dice.below(3)).unwrap(),
        timeout: dice.one_in(3).then(|| 1_000 * (1 + dice.below(20))),
        buffered: dice.one_in(5),
    }
}

fn end(dice: &mut Dice) -> End {
    match dice.below(16) {
        0..6 => End::Succeed,
        6 | 7 => End::Follow(1 + dice.below(3), dice.one_in(2).then(|| dice.below(6))),
        8..11 => End::Fail,
        11 => End::RetryAfter(1_000 * dice.below(30)),
        12 => End::Permanent,
        13 => End::Panic,
        14 => End::Snooze(1_000 * dice.below(30)),
        _ => End::Cancel,
    }
}

fn bad(dice: &mut Dice) -> Bad {
    let nth = 1 + dice.below(3);
    match dice.below(16) {
        0..3 => Bad::Commit(nth),
        3..5 => Bad::CommitDone(nth),
        5..8 => Bad::UntilReopened(nth),
        8..10 => Bad::Full,
        10 => Bad::Unknown(dice.one_in(2)),
        11 => Bad::Reopen(nth),
        12..14 => Bad::Get(1 + dice.below(6)),
        _ => Bad::Scan(1 + dice.below(4)),
    }
}

/// As far as a clock is set, or a machine sleeps.
fn leap(dice: &mut Dice) -> i64 {
    let most = if dice.one_in(4) { 3_600_000 } else { 300_000 };
    i64::try_from(dice.below(2 * most)).unwrap() - i64::try_from(most).unwrap()
}

fn step(dice: &mut Dice) -> Step {
    match dice.below(200) {
        0..26 => Step::Enqueue(new(dice)),
        26..30 => Step::Batch(new(dice), new(dice)),
        30..88 => Step::Turn,
        88..96 => Step::BadTurn(bad(dice)),
        96..99 => Step::Heal,
        99..129 => Step::Take(dice.number()),
        129..134 => Step::Checkpoint(dice.number()),
        134..160 => Step::End(dice.number(), end(dice)),
        160..165 => Step::Cancel(dice.number()),
        165..168 => Step::Retry(dice.number()),
        168 => Step::Amend(dice.number()),
        169..172 => Step::Remove(dice.number()),
        172 => Step::Pause(dice.number()),
        173..176 => Step::Resume(dice.number()),
        176..188 => Step::Advance(match dice.below(12) {
            0 => 3_600_000,
            1..4 => 60_000,
            4..8 => 5_000,
            _ => dice.below(1_000),
        }),
        188..190 => Step::SetWall(leap(dice)),
        190 => Step::Away(leap(dice)),
        191..193 => Step::Crash,
        193..196 => Step::Torn(dice.one_in(2)),
        196 => Step::BadOpen(1 + dice.below(20)),
        197 | 198 => Step::ShutDown(dice.number() % 8),
        _ => Step::Usurp,
    }
}

/// The history of a seed.
pub(crate) fn history(seed: u64, steps: usize) -> Vec<Step> {
    let mut dice = Dice::new(seed);
    (0..steps).map(|_| step(&mut dice)).collect()
}
