//! Parts and their owners, and the order in which gradients are complete.

use bowline::comm::{assign, complete_after};
use bowline::layout::Layout;
use bowline::plan::{OptimizerKind, Plan};

use crate::common::*;

const VARIANTS: [Micro; 6] = [OLMOE, QWEN3, VANILLA, LORA, MIXED, Micro { optimizer: "adamw", ..OLMOE }];

fn layout(micro: &Micro) -> Layout {
    Layout::new(&micro.plan()).expect("checked")
}

#[test]
fn every_element_has_one_owner_and_no_rank_two_parts_of_a_parameter() {
    for micro in VARIANTS {
        let layout = layout(&micro);
        for world in 1..=5 {
            let shards = assign(&layout, world, 5);
            for (param, p) in layout.params.iter().enumerate() {
                let parts: Vec<_> = shards.iter().filter(|shard| shard.param == param).collect();
                let mut at = 0;
                for part in &parts {
                    assert_eq!(part.at, at, "{}: parts follow each other", p.name);
                    assert!(part.len > 0 && part.owner < world);
                    let unit = if p.optimizer == OptimizerKind::Muon { p.rows * p.cols } else { p.cols };
                    assert_eq!(part.len % unit, 0, "{}: whole matrices, or whole rows", p.name);
                    at += part.len;
                }
                assert_eq!(at, p.size(), "{}", p.name);
                let mut owners: Vec<_> = parts.iter().map(|part| part.owner).collect();
                owners.sort_unstable();
                owners.dedup();
                assert_eq!(owners.len(), parts.len(), "{}: one part for a rank", p.name);
            }
        }
    }
}

#[test]
fn one_rank_owns_every_parameter_as_a_whole_in_their_order() {
    let layout = layout(&OLMOE);
    let shards = assign(&layout, 1, 5);
    let whole: Vec<_> = layout.params.iter().enumerate().map(|(param, p)| (param, 0, p.size(), 0)).collect();
    assert_eq!(shards.iter().map(|s| (s.param, s.at, s.len, s.owner)).collect::<Vec<_>>(), whole);
}

/// A model whose sizes are those of real ones, in small: 64 experts, a large vocabulary.
fn wide() -> Layout {
    let mut json = Micro { layers: 8, experts: 64, ..OLMOE }.json();
    json["model"]["vocab"] = 5000.into();
    json["model"]["width"] = 64.into();
    for bank in json["banks"].as_array_mut().expect("banks") {
        let shape = bank["shape"].as_object_mut().expect("a shape");
        for (dim, size) in [("D", 64), ("F", 48), ("V", 5000), ("P", 32)] {
            if shape.contains_key(dim) {
                shape.insert(dim.into(), size.into());
            }
        }
    }
    Layout::new(&Plan::parse(&json.to_string()).expect("valid")).expect("checked")
}

#[test]
fn ranks_have_about_the_same_to_keep_and_to_orthogonalise() {
    let layout = wide();
    for world in [2, 3, 4, 8] {
        let shards = assign(&layout, world, 5);
        let load = |count: &dyn Fn(&bowline::layout::ParamSpec, usize) -> usize| -> Vec<usize> {
            let of = |rank| shards.iter().filter(move |s| s.owner == rank);
            (0..world).map(|rank| of(rank).map(|s| count(&layout.params[s.param], s.len)).sum()).collect()
        };
        let experts = load(&|p, len| if p.count > 1 { len / (p.rows * p.cols) } else { 0 });
        // 4 banks of 64 matrices of two kinds, which differ by less than one matrix of each kind in each bank
        assert!(experts.iter().max().unwrap() - experts.iter().min().unwrap() <= 8, "{world}: {experts:?}");
        let state = load(&|p, len| if p.optimizer == OptimizerKind::Muon { len } else { 2 * len });
        let (most, mean) = (*state.iter().max().unwrap() as f64, state.iter().sum::<usize>() as f64 / world as f64);
        assert!(most <= 1.1 * mean, "{world}: {state:?}");
    }
}

#[test]
fn a_gradient_is_complete_after_the_first_site_that_uses_its_bank() {
    for micro in VARIANTS {
        let layout = layout(&micro);
        let stages = complete_after(&layout);
        assert_eq!(stages.len(), layout.sites.len() + 2);
        let mut all: Vec<_> = stages.concat();
        all.sort_unstable();
        assert_eq!(all, (0..layout.params.len()).collect::<Vec<_>>(), "each parameter once");
        let stage_of = |param| stages.iter().position(|stage| stage.contains(&param)).expect("in one");
        for param in 0..layout.params.len() {
            let first_site = layout.sites.iter().position(|site| site.params().contains(&param));
            let want = match first_site {
                Some(site) => layout.sites.len() - site,
                None if param == layout.embedding => layout.sites.len() + 1,
                None => 0,
            };
            assert_eq!(stage_of(param), want, "{}", layout.params[param].name);
        }
    }
}
