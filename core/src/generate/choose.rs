//! The probabilities of given strings, by the trie of their tokens.

use bitnet_edge_kernels::math::exp1;
use heapless::Vec;

use super::config::GenerationConfig;
use super::sampler::random;
use crate::Error;

/// Strings to choose from, at most.
///
/// ```
/// assert_eq!(bitnet_edge_core::generate::MAX_CHOICES, 32);
/// ```
pub const MAX_CHOICES: usize = 32;

/// Tokens of all strings to choose from, at most.
///
/// ```
/// assert_eq!(bitnet_edge_core::generate::MAX_CHOICE_TOKENS, 256);
/// ```
pub const MAX_CHOICE_TOKENS: usize = 256;

/// What was chosen among given strings: see [`Generator::choose`](crate::Generator::choose).
///
/// ```
/// use bitnet_edge_core::generate::Choice;
/// let choice = Choice { index: 1, probability: 0.75 };
/// assert_eq!(["on", "off"][choice.index], "off");
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Choice {
    /// Which of the strings.
    pub index: usize,
    /// Its probability under the model. Those of all strings add up to 1.
    pub probability: f32,
}

/// One of the strings, and what is known of its probability.
#[derive(Clone, Copy, Debug)]
struct Leaf {
    /// Where its tokens are.
    start: u16,
    end: u16,
    /// Its place among the strings as they were given.
    index: u8,
    /// The product over the nodes so far: what the model says.
    probability: f64,
    /// The same with the logits divided by the temperature: what is drawn by.
    drawn: f64,
}

/// A place in the trie at which the strings differ: the first `depth` tokens of the strings `from` and following.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Node {
    pub(super) from: usize,
    pub(super) depth: usize,
}

/// The strings in the order of their tokens. A node of the trie is then a range of them that begin alike, and a string
/// that ends at a node is the first of its range.
#[derive(Debug)]
pub(super) struct Trie {
    tokens: Vec<u32, MAX_CHOICE_TOKENS>,
    leaves: Vec<Leaf, MAX_CHOICES>,
}

impl Trie {
    pub(super) const fn new() -> Self {
        Self { tokens: Vec::new(), leaves: Vec::new() }
    }

    /// Adds a string, with a function that writes its tokens and returns their number.
    pub(super) fn add(
        &mut self,
        encode: impl FnOnce(&mut [u32]) -> Result<usize, Error>,
    ) -> Result<(), Error> {
        let index = self.leaves.len();
        let refused = |what| Error::Choice { index: index as u32, what };
        let start = self.tokens.len();
        self.tokens.resize_default(MAX_CHOICE_TOKENS).map_err(|_| refused("its tokens do not fit"))?;
        let count = encode(self.tokens.get_mut(start..).unwrap_or_default())?;
        let end = start.saturating_add(count);
        self.tokens.truncate(end);
        if count == 0 {
            return Err(refused("it has no token"));
        }
        let leaf =
            Leaf { start: start as u16, end: end as u16, index: index as u8, probability: 1.0, drawn: 1.0 };
        self.leaves.push(leaf).map_err(|_| refused("it is one more than can be chosen from"))?;
        // Into its place. The strings before it are in order.
        let mut at = index;
        while let Some(before) = at.checked_sub(1) {
            match self.path(before).cmp(self.path(at)) {
                core::cmp::Ordering::Less => break,
                core::cmp::Ordering::Equal => return Err(refused("another has the same tokens")),
                core::cmp::Ordering::Greater => {
                    if let Some([lower, upper, ..]) = self.leaves.get_mut(before..) {
                        core::mem::swap(lower, upper);
                    }
                }
            }
            at = before;
        }
        Ok(())
    }

    /// The tokens of a string.
    pub(super) fn path(&self, at: usize) -> &[u32] {
        let tokens = self.leaves.get(at).and_then(|leaf| self.tokens.get(leaf.start.into()..leaf.end.into()));
        tokens.unwrap_or(&[])
    }

    /// How many tokens two strings have in common.
    pub(super) fn shared(&self, a: usize, b: usize) -> usize {
        self.path(a).iter().zip(self.path(b)).take_while(|(a, b)| a == b).count()
    }

    /// The strings behind a node.
    fn range(&self, node: Node) -> core::ops::Range<usize> {
        let alike = |&at: &usize| self.shared(node.from, at) >= node.depth;
        node.from..(node.from..self.leaves.len()).take_while(alike).last().map_or(node.from, |at| at + 1)
    }

    /// The first node from `node` on, each before those behind it, at which more than one thing can follow.
    pub(super) fn next(&self, mut node: Node) -> Option<Node> {
        while node.from < self.leaves.len() {
            if node.depth > self.path(node.from).len() {
                node.from = node.from.saturating_add(1);
                // What it shares with the string before it, was seen there.
                node.depth = self.shared(node.from.saturating_sub(1), node.from).saturating_add(1);
                continue;
            }
            let last = self.range(node).last().unwrap_or(node.from);
            if self.path(node.from).get(node.depth) != self.path(last).get(node.depth) {
                return Some(node);
            }
            node.depth = node.depth.saturating_add(1);
        }
        None
    }

    /// The most tokens before a node at which more than one thing can follow.
    pub(super) fn depth(&self) -> usize {
        let nodes = core::iter::successors(self.next(Node { from: 0, depth: 0 }), |node| {
            self.next(Node { depth: node.depth.saturating_add(1), ..*node })
        });
        nodes.map(|node| node.depth).max().unwrap_or(0)
    }

    /// Multiplies the probabilities of the strings behind a node by those of what follows there.
    ///
    /// `logits`: behind the node's tokens, of the vocabulary.
    pub(super) fn weigh(&mut self, node: Node, logits: &[f32], temperature: f32) {
        let range = self.range(node);
        let ends = self.path(node.from).len() == node.depth;
        let mut next = Vec::<Option<u32>, MAX_CHOICES>::new();
        for at in range.clone() {
            let _ = next.push(self.path(at).get(node.depth).copied()); // there are no more of them than strings
        }
        let warm = if temperature > 0.0 { temperature } else { 1.0 };
        let [model, drawn] = [1.0, warm].map(|temperature| Follow::new(&next, ends, logits, temperature));
        for (leaf, token) in self.leaves.iter_mut().skip(range.start).zip(&next) {
            leaf.probability *= model.probability(*token);
            leaf.drawn *= drawn.probability(*token);
        }
    }

    /// The probability of each string, in the order in which they were given.
    pub(super) fn probabilities(&self) -> Vec<f32, MAX_CHOICES> {
        let mut all = Vec::new();
        for _ in &self.leaves {
            let _ = all.push(0.0);
        }
        for leaf in &self.leaves {
            if let Some(slot) = all.get_mut(usize::from(leaf.index)) {
                *slot = leaf.probability as f32;
            }
        }
        all
    }

    /// The likeliest with temperature 0, of equals the one whose tokens are lower; else the `n`-th draw.
    pub(super) fn choose(&self, config: &GenerationConfig, n: u64) -> Option<Choice> {
        let leaf = if config.temperature > 0.0 {
            let total = self.leaves.iter().fold(0.0, |sum, leaf| sum + leaf.drawn);
            // 53 bits: every such number is exact.
            let r = (random(config.seed, n) >> 11) as f64 / 9_007_199_254_740_992.0 * total;
            let mut sum = 0.0;
            let mut drawn = self.leaves.iter().filter(|leaf| {
                sum += leaf.drawn;
                sum > r
            });
            drawn.next()
        } else {
            None
        };
        let likeliest = |best: &'_ Leaf, leaf: &'_ Leaf| leaf.probability > best.probability;
        let best = self.leaves.iter().reduce(|best, leaf| if likeliest(best, leaf) { leaf } else { best });
        let Leaf { index, probability, .. } = *leaf.or(best)?;
        Some(Choice { index: index.into(), probability: probability as f32 })
    }
}

/// What follows at a node, in softmax over what can.
struct Follow<'l> {
    logits: &'l [f32],
    temperature: f32,
    largest: f32,
    /// Weight of whatever ends a string here: of the tokens that continue none. 0 if none ends here.
    end: f64,
    total: f64,
}

impl<'l> Follow<'l> {
    /// `next`: the tokens that follow, in order and as often as strings have them; `None`, the first, for a string that `ends`.
    fn new(next: &[Option<u32>], ends: bool, logits: &'l [f32], temperature: f32) -> Self {
        let mut follow = Self { logits, temperature, largest: f32::NEG_INFINITY, end: 0.0, total: 0.0 };
        let larger = |largest: f32, l: f32| if l > largest { l } else { largest };
        let distinct = || {
            let mut before = None;
            next.iter().flatten().copied().filter(move |&id| before.replace(id) != Some(id))
        };
        if ends {
            follow.largest = logits.iter().copied().fold(f32::NEG_INFINITY, larger);
            let mut skipped = distinct().peekable();
            for (id, &l) in (0u32..).zip(logits) {
                if skipped.next_if_eq(&id).is_none() {
                    follow.end += follow.weight(l);
                }
            }
        } else {
            follow.largest = distinct().map(|id| follow.logit(id)).fold(f32::NEG_INFINITY, larger);
        }
        follow.total = distinct().fold(follow.end, |sum, id| sum + follow.weight(follow.logit(id)));
        follow
    }

    fn logit(&self, id: u32) -> f32 {
        self.logits.get(id as usize).copied().unwrap_or(f32::NEG_INFINITY)
    }

    fn weight(&self, l: f32) -> f64 {
        match (l - self.largest) / self.temperature {
            // Where `exp` is no longer defined.
            ..-87.0 => 0.0,
            x => exp1(x).into(),
        }
    }

    fn probability(&self, next: Option<u32>) -> f64 {
        next.map_or(self.end, |id| self.weight(self.logit(id))) / self.total
    }
}

#[cfg(test)]
mod tests {
    use std::vec::Vec;

    use super::*;

    fn trie(strings: &[&[u32]]) -> Result<Trie, Error> {
        let mut trie = Trie::new();
        for string in strings {
            trie.add(|out| {
                out[..string.len()].copy_from_slice(string);
                Ok(string.len())
            })?;
        }
        Ok(trie)
    }

    fn nodes(trie: &Trie) -> Vec<&[u32]> {
        let first = trie.next(Node { from: 0, depth: 0 });
        core::iter::successors(first, |n| trie.next(Node { depth: n.depth + 1, ..*n }))
            .map(|node| &trie.path(node.from)[..node.depth])
            .collect()
    }

    #[test]
    fn nodes_are_where_strings_differ() {
        for (strings, expected, depth) in [
            (&[&[1, 2][..]][..], &[][..], 0),
            (&[&[2], &[1]], &[&[][..]], 0),
            (&[&[1, 2, 3], &[1, 2, 4], &[1, 2]], &[&[1, 2]], 2),
            (&[&[5, 1], &[5, 2, 7], &[5, 2, 8], &[6]], &[&[], &[5], &[5, 2]], 2),
            (&[&[1], &[1, 1, 1], &[1, 1]], &[&[1], &[1, 1]], 2),
            (&[&[3, 9, 9, 1], &[3, 9, 9, 2], &[4, 1, 1], &[4, 1]], &[&[], &[3, 9, 9], &[4, 1]], 3),
        ] {
            let trie = trie(strings).unwrap();
            assert_eq!(nodes(&trie), expected, "{strings:?}");
            assert_eq!(trie.depth(), depth, "{strings:?}");
        }
    }

    #[test]
    fn strings_that_cannot_be_told_apart_are_refused() {
        let same = Error::Choice { index: 2, what: "another has the same tokens" };
        assert_eq!(trie(&[&[3], &[1], &[3]]).err(), Some(same));
        assert!(trie(&[&[]]).is_err());
        let ids: Vec<u32> = (0..=MAX_CHOICES as u32).collect();
        let many: Vec<&[u32]> = ids.chunks(1).collect();
        assert!(trie(&many[..MAX_CHOICES]).is_ok());
        assert!(matches!(trie(&many), Err(Error::Choice { index: 32, .. })));
    }

    #[test]
    fn what_continues_no_string_ends_one() {
        // Behind token 1: token 2 goes on with the second string, any other ends the first.
        let mut trie = trie(&[&[1], &[1, 2]]).unwrap();
        let logits = [0.5f32, -1.0, 2.0, 0.25];
        trie.weigh(Node { from: 0, depth: 1 }, &logits, 0.0);
        let weights = logits.map(|l| f64::from(l).exp());
        let two = weights[2] / weights.iter().sum::<f64>();
        let found = trie.probabilities();
        assert!((f64::from(found[1]) - two).abs() < 1e-6 && (f64::from(found[0]) + two - 1.0).abs() < 1e-6);
    }

    #[test]
    fn draws_follow_the_probabilities() {
        // Chi-square over 4 strings with a fixed seed: 3 degrees of freedom, 16.3 at p = 0.001.
        let mut trie = trie(&[&[3, 1], &[0], &[3, 2], &[1]]).unwrap();
        let logits = [0.1, 0.9, 0.2, 0.4];
        let config = GenerationConfig { temperature: 0.5, seed: 3, ..GenerationConfig::default() };
        trie.weigh(Node { from: 0, depth: 0 }, &logits, 0.5);
        trie.weigh(Node { from: 2, depth: 1 }, &logits, 0.5);
        let weights = logits.map(|l| (f64::from(l) / 0.5).exp());
        let (root, deep) = (weights[0] + weights[1] + weights[3], weights[1] + weights[2]);
        let three = weights[3] / root;
        let expected =
            [three * weights[1] / deep, weights[0] / root, three * weights[2] / deep, weights[1] / root];
        let mut counts = [0f64; 4];
        for n in 0..40_000 {
            counts[trie.choose(&config, n).unwrap().index] += 1.0;
        }
        let chi: f64 = counts.iter().zip(expected).map(|(c, p)| (c - p * 4e4).powi(2) / (p * 4e4)).sum();
        assert!(chi < 16.3, "chi-square {chi}");
    }

    #[test]
    fn logits_far_apart_leave_numbers() {
        let mut trie = trie(&[&[0], &[1]]).unwrap();
        trie.weigh(Node { from: 0, depth: 0 }, &[3e38, -3e38], 1e-30);
        assert_eq!(trie.probabilities(), [1.0, 0.0]);
        for n in 0..100 {
            assert_eq!(trie.choose(&GenerationConfig::default(), n).unwrap().index, 0);
        }
    }
}
