//! What was produced and what the brokers have acknowledged, by lane: one per shard and one for rejects.

/// Counts since the instance started. At most one checkpoint is open at a time; a lane has reached it
/// once everything that was produced to it before has been acknowledged.
#[derive(Clone, Debug)]
pub struct Lanes {
    produced: Vec<u64>,
    acked: Vec<u64>,
    checkpoint: Vec<u64>,
}

impl Lanes {
    pub fn new(count: usize) -> Lanes {
        Lanes { produced: vec![0; count], acked: vec![0; count], checkpoint: vec![0; count] }
    }

    pub fn produced(&mut self, lane: usize) {
        self.produced[lane] += 1;
    }

    /// `total` of the lane's records have been acknowledged since the start.
    pub fn acked(&mut self, lane: usize, total: u64) {
        self.acked[lane] = total.max(self.acked[lane]);
    }

    pub fn in_flight(&self) -> u64 {
        self.produced.iter().zip(&self.acked).map(|(produced, acked)| produced.saturating_sub(*acked)).sum()
    }

    /// Opens a checkpoint: everything produced so far.
    pub fn open_checkpoint(&mut self) {
        self.checkpoint.copy_from_slice(&self.produced);
    }

    pub fn has_reached(&self, lane: usize) -> bool {
        self.acked[lane] >= self.checkpoint[lane]
    }

    pub fn all_have_reached(&self) -> bool {
        (0..self.acked.len()).all(|lane| self.has_reached(lane))
    }
}
