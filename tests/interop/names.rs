//! The table of names: what each family calls its tensors, and that they are all of a model, once.

use crate::common::models;
use crate::micro::{MIXED, Micro, OLMOE, VANILLA};
use bowline::interop::{Family, Form, names};
use bowline::layout::Layout;
use std::collections::BTreeSet;

fn layout_of(family: Family) -> Layout {
    let (_, plan) = models().into_iter().rfind(|(f, _)| *f == family).expect("every family has a model");
    Layout::new(&plan).expect("checked")
}

#[test]
fn the_tensors_of_an_untied_model_are_every_element_of_every_parameter_once() {
    for (family, plan) in models() {
        let layout = Layout::new(&plan).expect("checked");
        for form in [Form::PerExpert, Form::Fused] {
            let mut uses: Vec<Vec<u8>> = layout.params.iter().map(|p| vec![0; p.size()]).collect();
            let mut seen = BTreeSet::new();
            for name in names(family, form, &layout) {
                assert!(seen.insert(name.name.clone()), "{} comes twice", name.name);
                uses[name.param][name.start..name.start + name.size()].iter_mut().for_each(|count| *count += 1);
            }
            for (param, uses) in layout.params.iter().zip(uses) {
                assert!(uses.iter().all(|&count| count == 1), "{family:?} {form:?}: {}", param.name);
            }
        }
    }
}

#[test]
fn a_tied_bank_has_a_name_at_each_of_its_sites_with_the_same_place() {
    let layout = Layout::new(&Micro { layers: 3, group_size: 2, ..OLMOE }.plan()).expect("checked");
    let place = |layer: usize, of: &str| {
        let name = names(Family::Olmoe, Form::PerExpert, &layout).find(|n| n.name == format!("model.layers.{layer}.mlp.{of}.weight"));
        name.map(|name| (layout.params[name.param].name.clone(), name.start)).expect("a name")
    };
    assert_eq!(place(0, "experts.3.up_proj"), place(1, "experts.3.up_proj"));
    assert_ne!(place(1, "experts.3.up_proj"), place(2, "experts.3.up_proj"));
    assert_ne!(place(0, "gate"), place(1, "gate"), "routers are not shared");
}

/// Name, shape, parameter and first element.
type Case = (Family, Form, &'static str, &'static [usize], &'static str, usize);

/// Some tensors of the second layer: D 8, F 6, E 4.
#[test]
fn names_shapes_and_places_are_those_of_the_classes() {
    let cases: [Case; 16] = [
        (Family::Olmoe, Form::PerExpert, "model.embed_tokens.weight", &[23, 8], "embedding.weight", 0),
        (Family::Olmoe, Form::PerExpert, "lm_head.weight", &[23, 8], "head.weight", 0),
        (Family::Olmoe, Form::PerExpert, "model.norm.weight", &[8], "final_norm.weight", 0),
        (Family::Olmoe, Form::PerExpert, "model.layers.1.input_layernorm.weight", &[8], "attention_norm.1.weight", 0),
        (Family::Olmoe, Form::PerExpert, "model.layers.1.post_attention_layernorm.weight", &[8], "ffn_norm.1.weight", 0),
        (Family::Olmoe, Form::PerExpert, "model.layers.1.self_attn.q_norm.weight", &[8], "attention.1.q_norm", 0),
        (Family::Olmoe, Form::PerExpert, "model.layers.1.mlp.experts.2.gate_proj.weight", &[6, 8], "experts.1.gate_up", 192),
        (Family::Olmoe, Form::PerExpert, "model.layers.1.mlp.experts.2.up_proj.weight", &[6, 8], "experts.1.gate_up", 240),
        (Family::Olmoe, Form::Fused, "model.layers.1.mlp.experts.gate_up_proj", &[4, 12, 8], "experts.1.gate_up", 0),
        (Family::Olmoe, Form::Fused, "model.layers.1.mlp.experts.down_proj", &[4, 8, 6], "experts.1.down", 0),
        // Four query heads and two of keys, of 4 each; dense layers 0 and 1 of width 10.
        (Family::Qwen3Moe, Form::PerExpert, "model.layers.1.self_attn.k_norm.weight", &[4], "attention.1.k_norm", 0),
        (Family::Qwen3Moe, Form::PerExpert, "model.layers.1.self_attn.o_proj.weight", &[8, 16], "attention.1.wo", 0),
        (Family::Qwen3Moe, Form::Fused, "model.layers.1.mlp.up_proj.weight", &[10, 8], "feed_forward.1.gate_up", 80),
        (Family::Mixtral, Form::PerExpert, "model.layers.1.block_sparse_moe.experts.2.w3.weight", &[6, 8], "experts.1.gate_up", 240),
        (Family::Mixtral, Form::PerExpert, "model.layers.1.block_sparse_moe.experts.2.w2.weight", &[8, 6], "experts.1.down", 96),
        (Family::Mixtral, Form::Fused, "model.layers.1.mlp.gate.weight", &[4, 8], "router.1.weight", 0),
    ];
    for (family, form, name, shape, param, start) in cases {
        let layout = layout_of(family);
        let found = names(family, form, &layout).find(|n| n.name == name).unwrap_or_else(|| panic!("{family:?} {form:?} has no {name}"));
        assert_eq!((found.shape.as_slice(), layout.params[found.param].name.as_str(), found.start), (shape, param, start), "{name}");
    }
}

#[test]
fn the_compact_form_has_every_element_once_under_the_first_site_that_uses_it() {
    for micro in [OLMOE, MIXED, VANILLA, Micro { all_tied: true, ..OLMOE }] {
        let layout = Layout::new(&micro.plan()).expect("checked");
        let all: Vec<_> = names(Family::Bowline, Form::PerExpert, &layout).collect();
        for (id, param) in layout.params.iter().enumerate() {
            let mut parts: Vec<_> = all.iter().filter(|name| name.param == id).collect();
            parts.sort_by_key(|name| name.start);
            let end = parts.iter().fold(0, |end, name| if name.start == end { end + name.size() } else { usize::MAX });
            assert_eq!(end, param.size(), "{}", param.name);
        }
        let has = |name: &str| all.iter().any(|n| n.name == name);
        assert!(has("model.layers.0.self_attn.q_proj.weight"));
        assert_eq!(has("model.layers.1.self_attn.q_proj.weight"), !micro.all_tied);
        assert_eq!(has("lm_head.weight"), !micro.tied_head);
        let experts: Vec<_> = (0..micro.layers).filter(|site| has(&format!("model.layers.{site}.mlp.experts.gate_up_proj"))).collect();
        assert_eq!(experts, if micro.dense.is_empty() { vec![0, 2] } else { vec![2, 4] });
    }
}
