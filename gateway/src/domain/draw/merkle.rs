//! The root of all entrants: the Merkle tree hash of RFC 9162, section 2.1.1.

use sha2::{Digest, Sha256};

use crate::domain::draw::{Hash, Pseudonym};

/// The leaf of an entrant: of the pseudonym's 16 bytes and the choices as the published file has them.
pub fn leaf(pseudonym: &Pseudonym, choices: &str) -> Hash {
    leaf_of(&[pseudonym.bytes(), choices.as_bytes()])
}

fn leaf_of(parts: &[&[u8]]) -> Hash {
    let hash = Sha256::new().chain_update([0]);
    parts.iter().fold(hash, Sha256::chain_update).finalize().into()
}

/// A tree to which leaves are added, the first one first; it keeps a hash for each bit of their number.
#[derive(Debug, Default)]
pub struct MerkleTree {
    /// Roots of whole trees, the largest first, with their heights.
    peaks: Vec<(u32, Hash)>,
    leaves: u64,
}

impl MerkleTree {
    /// Adds a leaf.
    pub fn add(&mut self, leaf: Hash) {
        let (mut height, mut hash) = (0, leaf);
        while let Some((_, left)) = self.peaks.pop_if(|(other, _)| *other == height) {
            (height, hash) = (height + 1, node(&left, &hash));
        }
        self.peaks.push((height, hash));
        self.leaves += 1;
    }

    /// How many leaves it has.
    pub fn leaves(&self) -> u64 {
        self.leaves
    }

    /// Its root; that of an empty tree is the hash of nothing.
    pub fn root(&self) -> Hash {
        let hashes = self.peaks.iter().rev().map(|(_, hash)| *hash);
        hashes.reduce(|right, left| node(&left, &right)).unwrap_or_else(|| Sha256::digest([]).into())
    }
}

fn node(left: &Hash, right: &Hash) -> Hash {
    Sha256::new().chain_update([1]).chain_update(left).chain_update(right).finalize().into()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may fail this way")]
mod tests {
    use super::*;
    use crate::domain::hex;

    /// The leaves and roots that implementations of Certificate Transparency share as their test.
    #[test]
    fn roots_are_those_of_the_standard() {
        let leaves = ["", "00", "10", "2021", "3031", "40414243", "5051525354555657"];
        let leaves = leaves.into_iter().chain(["606162636465666768696a6b6c6d6e6f"]);
        let roots = [
            "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
            "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
            "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
            "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
            "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
            "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
            "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
            "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
        ];
        let mut tree = MerkleTree::default();
        let empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        assert_eq!(hex::encode(&tree.root()), empty);
        for (leaf, root) in leaves.zip(roots) {
            tree.add(leaf_of(&[&hex::decode(leaf).unwrap()]));
            assert_eq!(hex::encode(&tree.root()), root, "{leaf}");
        }
        assert_eq!(tree.leaves(), 8);
    }
}
