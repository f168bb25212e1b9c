//! The same difference found by others: without a word about which parcels are then asked for, which ours includes.

use super::Cost;
use alcove::proto::id::ParcelId;
use negentropy::{Id, Negentropy, NegentropyStorageVector};
use riblt::{RatelessIBLT, Symbol, UnmanagedRatelessIBLT};

/// Symbols that `riblt` is asked for at once: what 53 of ours are, a cell.
const PORTION: usize = 53;

/// Ranges of ids with fingerprints, ids of 32 bytes as it wants them. Its sorted store is made before and not counted in its time.
pub struct Ranges(NegentropyStorageVector, NegentropyStorageVector);

impl Ranges {
    /// Both sides' stores.
    pub fn new(mine: &[ParcelId], theirs: &[ParcelId]) -> Ranges {
        let store = |ids: &[ParcelId]| {
            let mut store = NegentropyStorageVector::with_capacity(ids.len());
            for ParcelId(id) in ids {
                let mut bytes = [0; 32];
                bytes[..16].copy_from_slice(id);
                store.insert(0, Id::from_byte_array(bytes)).expect("it is not sealed");
            }
            store.seal().expect("it is not sealed");
            store
        };
        Ranges(store(mine), store(theirs))
    }

    /// One reconciliation.
    pub fn find(&self, missing: usize) -> Cost {
        let mut one = Negentropy::borrowed(&self.0, 0).expect("no limit");
        let mut other = Negentropy::borrowed(&self.1, 0).expect("no limit");
        let (mut have, mut need) = (Vec::new(), Vec::new());
        let mut cost = Cost::default();
        let mut query = one.initiate().expect("its first");
        loop {
            let answer = other.reconcile(&query).expect("of the same kind");
            cost.bytes += query.len() + answer.len();
            cost.turns += 2;
            let Some(next) = one.reconcile_with_ids(&answer, &mut have, &mut need).expect("of the same kind") else { break };
            query = next;
        }
        assert_eq!(have.len() + need.len(), missing);
        cost
    }
}

/// An id of 8 bytes, as a salted one would be.
#[derive(Clone, Debug)]
struct Short([u8; 8]);

impl Symbol for Short {
    const BYTE_ARRAY_LENGTH: usize = 8;

    fn encode_to_bytes(&self) -> Vec<u8> {
        self.0.to_vec()
    }

    fn decode_from_bytes(bytes: &Vec<u8>) -> Short {
        let mut short = [0; 8];
        short.copy_from_slice(&bytes[..8]);
        Short(short)
    }
}

/// A rateless sketch of ids, hashes and counts of 8 bytes each.
pub fn riblt(mine: &[ParcelId], theirs: &[ParcelId], missing: usize) -> Cost {
    let shorts =
        |ids: &[ParcelId]| -> Vec<Short> { ids.iter().map(|ParcelId(id)| Short::decode_from_bytes(&id.to_vec())).collect() };
    let mut one = RatelessIBLT::new(shorts(mine));
    let mut other = RatelessIBLT::new(shorts(theirs));
    let mut heard = UnmanagedRatelessIBLT::new();
    let mut cost = Cost::default();
    for portion in 1.. {
        one.extend_coded_symbols(portion * PORTION - 1);
        for at in (portion - 1) * PORTION..portion * PORTION {
            heard.add_coded_symbol(&one.get_coded_symbol(at));
            cost.bytes += 3 * 8;
        }
        cost.turns += 1;
        let mut left = other.collapse(&heard);
        let found = left.peel_all_symbols();
        if left.is_empty() {
            assert_eq!(found.len(), missing);
            break;
        }
    }
    cost
}
