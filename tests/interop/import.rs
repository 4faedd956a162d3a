//! Import: every form of a checkpoint gives the same run, and what does not fit is refused with nothing written.

use crate::common::{Raw, models, tensors, weights, write_shards, write_single};
use crate::micro::{Micro, VOCAB, unwatched};
use bowline::checkpoint::{Checkpoint, TensorMut};
use bowline::cpu::Cpu;
use bowline::data::Watch;
use bowline::error::{Error, Result};
use bowline::interop::{Family, Form, ImportReport, ImportRequest};
use bowline::layout::Layout;
use bowline::plan::Plan;
use bowline::train::Trainer;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use tempfile::TempDir;

/// A folder `in` with the files of a checkpoint, beside which `out` is to be.
struct Case {
    folder: TempDir,
    family: Family,
    plan: Plan,
}

impl Case {
    fn new(family: Family, plan: &Plan, write: impl FnOnce(&Path, Vec<Raw>), form: Form, dtype: &'static str) -> Self {
        let folder = tempfile::tempdir().expect("temp");
        std::fs::create_dir(folder.path().join("in")).expect("created");
        write(&folder.path().join("in"), tensors(family, form, &Layout::new(plan).expect("checked"), dtype));
        Case { folder, family, plan: plan.clone() }
    }

    /// One file of the first family whose tensors were changed.
    fn changed(change: impl FnOnce(&mut Vec<Raw>)) -> Self {
        let (family, plan) = &models()[0];
        let write = |folder: &Path, mut raws: Vec<Raw>| {
            change(&mut raws);
            write_single(folder, &raws);
        };
        Case::new(*family, plan, write, Form::PerExpert, "F32")
    }

    fn request(&self) -> ImportRequest {
        ImportRequest {
            folder: self.folder.path().join("in"),
            family: self.family,
            plan: self.plan.to_json().expect("json"),
            has_tokenizer: false,
            out: self.folder.path().join("out"),
            files: BTreeMap::from([("manifest.json".to_string(), "{}".to_string())]),
        }
    }

    fn import(&self) -> Result<ImportReport> {
        unwatched(|watch| self.request().run(watch))
    }

    fn checkpoint(&self) -> Checkpoint {
        Checkpoint::open(&self.folder.path().join("out/checkpoints/step-00000000")).expect("a checkpoint")
    }

    /// The error of the import, which must leave nothing.
    fn refused(&self) -> String {
        let says = self.import().expect_err("wanted an error").to_string();
        self.assert_nothing_written();
        says
    }

    fn assert_nothing_written(&self) {
        let names: Vec<_> = std::fs::read_dir(self.folder.path()).expect("folder").map(|entry| entry.expect("entry").file_name()).collect();
        assert_eq!(names, ["in"]);
    }

    fn bytes(&self, file: &str) -> Vec<u8> {
        std::fs::read(self.checkpoint().folder().join(file)).expect("written")
    }
}

fn single(folder: &Path, raws: Vec<Raw>) {
    write_single(folder, &raws);
}

#[test]
fn every_parameter_gets_its_numbers_and_the_optimizer_zeros() {
    for (family, plan) in models() {
        let case = Case::new(family, &plan, single, Form::PerExpert, "F32");
        let layout = Layout::new(&plan).expect("checked");
        let report = case.import().expect("imported");
        assert_eq!(report.parameters, layout.params.iter().map(|p| p.size()).sum::<usize>());
        assert_eq!((report.form, report.dtypes.as_slice()), (Form::PerExpert, &["F32".to_string()][..]));
        let checkpoint = case.checkpoint();
        checkpoint.verify().expect("checksums");
        assert_eq!((checkpoint.state().step, checkpoint.state().tokens), (0, 0));
        assert_eq!(checkpoint.plan(), plan.to_json().expect("json"));
        let want = weights(&layout);
        let mut got: Vec<Vec<f32>> = layout.params.iter().map(|p| vec![f32::NAN; p.size()]).collect();
        let mut targets: Vec<_> =
            layout.params.iter().zip(&mut got).map(|(p, data)| TensorMut { name: &p.name, shape: &p.shape, data }).collect();
        checkpoint.read_model(&mut targets).expect("all of them");
        assert!(got == want, "{family:?}: the numbers differ");
        // A trainer reads it whole, moments and all.
        let mut trainer = Trainer::new(Cpu::new(1).expect("threads"), plan.clone()).expect("memory");
        trainer.load(checkpoint.folder()).expect("loaded");
        trainer.save(&case.folder.path().join("again")).expect("saved");
        for file in ["model.safetensors", "optimizer.safetensors", "state.json"] {
            let again = std::fs::read(case.folder.path().join("again").join(file)).expect("saved");
            assert!(again == case.bytes(file), "{file} of a trainer that loaded it differs");
        }
    }
}

#[test]
fn forms_files_types_and_prefixes_give_the_same_checkpoint() {
    let prefixed = |prefix: &'static str| {
        move |folder: &Path, mut raws: Vec<Raw>| {
            raws.iter_mut().for_each(|raw| raw.name.insert_str(0, prefix));
            write_single(folder, &raws);
        }
    };
    let shards = |folder: &Path, raws: Vec<Raw>| drop(write_shards(folder, &raws));
    let backwards = |folder: &Path, raws: Vec<Raw>| write_single(folder, &raws.into_iter().rev().collect::<Vec<_>>());
    for (family, plan) in models() {
        let want = Case::new(family, &plan, single, Form::PerExpert, "F32");
        want.import().expect("imported");
        let cases = [
            Case::new(family, &plan, single, Form::Fused, "F32"),
            Case::new(family, &plan, single, Form::PerExpert, "BF16"),
            Case::new(family, &plan, shards, Form::PerExpert, "F32"),
            Case::new(family, &plan, shards, Form::Fused, "BF16"),
            Case::new(family, &plan, backwards, Form::PerExpert, "F32"),
            Case::new(family, &plan, prefixed("module."), Form::Fused, "F32"),
            Case::new(family, &plan, prefixed("_orig_mod."), Form::Fused, "F32"),
            Case::new(family, &plan, prefixed("module._orig_mod."), Form::PerExpert, "F32"),
        ];
        for case in cases {
            case.import().expect("imported");
            for file in ["model.safetensors", "optimizer.safetensors", "state.json"] {
                assert!(case.bytes(file) == want.bytes(file), "{family:?}: {file} differs");
            }
        }
    }
}

/// The tensor of a name.
fn of<'a>(raws: &'a mut [Raw], name: &str) -> &'a mut Raw {
    raws.iter_mut().find(|raw| raw.name == name).expect("a tensor")
}

#[test]
fn tensors_that_do_not_fit_are_named_with_what_is_and_what_was_wanted() {
    const DOWN: &str = "model.layers.1.mlp.experts.3.down_proj.weight";
    type Change = fn(&mut Vec<Raw>);
    let cases: [(Change, &str); 7] = [
        (
            |raws| raws.retain(|raw| raw.name != DOWN),
            "/in: it has no tensor model.layers.1.mlp.experts.3.down_proj.weight, wanted one of shape [8, 6]",
        ),
        (
            |raws| raws.push(Raw { name: "model.layers.3.mlp.gate.weight".into(), dtype: "F32", shape: vec![1], bytes: vec![0; 4] }),
            "it has a tensor model.layers.3.mlp.gate.weight of shape [1], which its config.json does not ask for",
        ),
        (|raws| of(raws, DOWN).shape.reverse(), "its tensor model.layers.1.mlp.experts.3.down_proj.weight has shape [6, 8], wanted [8, 6]"),
        (|raws| of(raws, DOWN).shape = vec![48], "has shape [48], wanted [8, 6]"),
        (
            |raws| {
                let down = of(raws, DOWN);
                (down.dtype, down.bytes) = ("F64", vec![0; 384]);
            },
            "its tensor model.layers.1.mlp.experts.3.down_proj.weight is in F64, wanted F32, BF16 or F16",
        ),
        (
            |raws| {
                let mut again = of(raws, DOWN).clone();
                again.name.insert_str(0, "module.");
                raws.push(again);
            },
            "have one name without prefixes",
        ),
        (|raws| of(raws, DOWN).bytes[4..8].copy_from_slice(&f32::NAN.to_le_bytes()), "down_proj.weight has a value that is not finite"),
    ];
    for (change, says) in cases {
        let got = Case::changed(change).refused();
        assert!(got.starts_with("Cannot use the checkpoint ") && got.contains(says), "{got}, wanted {says}");
    }
}

#[test]
fn a_tied_head_may_be_written_out_if_it_is_the_embedding() {
    let (family, plan) = &models()[1];
    let with_head = |spoil: bool| {
        let write = |folder: &Path, mut raws: Vec<Raw>| {
            let mut head = raws[0].clone();
            assert_eq!(head.name, "model.embed_tokens.weight");
            head.name = "lm_head.weight".into();
            head.bytes[0] ^= u8::from(spoil);
            raws.push(head);
            write_single(folder, &raws);
        };
        Case::new(*family, plan, write, Form::PerExpert, "F32")
    };
    with_head(false).import().expect("imported");
    let says = with_head(true).refused();
    assert!(says.ends_with("its tensor lm_head.weight differs from the one that it is tied to"), "{says}");
}

#[test]
fn a_folder_that_exists_is_refused_and_left_alone() {
    let case = Case::changed(|_| {});
    let out = case.folder.path().join("out");
    std::fs::create_dir(&out).expect("created");
    let says = case.import().expect_err("it exists").to_string();
    assert_eq!(says, format!("Cannot import into {}: it exists, wanted a new folder", out.display()));
    assert!(std::fs::read_dir(&out).expect("folder").next().is_none());
}

#[test]
fn a_cancelled_import_leaves_nothing() {
    for after in [0.0, 0.3, 0.8] {
        let case = Case::changed(|_| {});
        let cancel = AtomicBool::new(false);
        let last = std::sync::Mutex::new(0.0);
        let progress = |done: f64| {
            let mut last = last.lock().expect("one thread");
            assert!(done >= *last && done <= 1.0, "{done} after {last}");
            *last = done;
            cancel.store(done >= after, Ordering::Relaxed);
        };
        let result = case.request().run(&Watch::new(&progress, &cancel));
        assert!(matches!(result, Err(Error::Cancelled)), "{result:?}");
        case.assert_nothing_written();
    }
}

#[test]
fn a_tokenizer_comes_along_if_its_ids_and_separator_fit() {
    let words = |count: usize| {
        let vocab: serde_json::Map<_, _> = (0..count).map(|id| (format!("w {id}"), id.into())).collect();
        serde_json::json!({"version": "1.0", "added_tokens": [], "normalizer": null, "pre_tokenizer": {"type": "Whitespace"},
            "post_processor": null, "decoder": null, "truncation": null, "padding": null,
            "model": {"type": "WordLevel", "vocab": vocab, "unk_token": "w 0"}})
        .to_string()
    };
    let run = |json: &str, separator: &str| {
        let mut case = Case::changed(|_| {});
        case.plan.data.separator = separator.into();
        std::fs::write(case.folder.path().join("in/tokenizer.json"), json).expect("written");
        let request = ImportRequest { has_tokenizer: true, ..case.request() };
        (unwatched(|watch| request.run(watch)).map_err(|e| e.to_string()), case)
    };
    let json = words(VOCAB);
    let (report, case) = run(&json, "w 3");
    report.expect("imported");
    assert_eq!(case.bytes("tokenizer.json"), json.as_bytes());
    assert_eq!(std::fs::read(case.folder.path().join("out/tokenizer.json")).expect("written"), json.as_bytes());
    for (json, separator, says) in [
        (words(VOCAB + 1), "w 3", "the tokenizer has 24 tokens, the model's vocabulary only 23"),
        (words(VOCAB), "w 99", "w 99"),
        ("{}".into(), "w 3", "tokenizer.json"),
    ] {
        let (report, case) = run(&json, separator);
        let got = report.expect_err("wanted an error");
        assert!(got.contains(says), "{got}, wanted {says}");
        case.assert_nothing_written();
    }
}

#[test]
fn weights_go_to_a_run_of_the_same_banks_however_they_are_updated() {
    let case = Case::changed(|_| {});
    case.import().expect("imported");
    let from = case.folder.path().join("out/checkpoints/step-00000000");
    let trainer = |change: fn(&mut serde_json::Value)| {
        let mut json = serde_json::to_value(&case.plan).expect("json");
        change(&mut json);
        Trainer::new(Cpu::new(1).expect("threads"), Plan::parse(&json.to_string()).expect("valid")).expect("memory")
    };
    let want = weights(&Layout::new(&case.plan).expect("checked"));
    let mut other = trainer(|plan| {
        plan["train"]["seqLen"] = 5.into();
        plan["optimizer"]["kind"] = "adamw".into();
        for bank in plan["banks"].as_array_mut().expect("banks") {
            bank["optimizer"] = "adamw".into();
            bank["lrDivisor"] = 3.0.into();
        }
    });
    other.load_weights(&from).expect("the same banks");
    for (param, want) in other.model().layout.params.iter().zip(&want) {
        assert!(other.read(&param.name, false).expect("a parameter") == *want, "{}", param.name);
    }
    let refused = |change: fn(&mut serde_json::Value)| {
        let mut trainer = trainer(change);
        let before = trainer.read("embedding.weight", false).expect("a parameter");
        let says = trainer.load_weights(&from).expect_err("another model").to_string();
        assert!(trainer.read("embedding.weight", false).expect("a parameter") == before, "nothing is read of another model");
        says
    };
    let says = refused(|plan| {
        for bank in plan["banks"].as_array_mut().expect("banks") {
            if bank["id"] == "experts.1" {
                bank["shape"]["F"] = 7.into();
            }
        }
    });
    assert!(says.ends_with("it is of another model: banks.experts.1.shape.F is 6 there and 7 here"), "{says}");
    let says = refused(|plan| {
        for bank in plan["banks"].as_array_mut().expect("banks") {
            if bank["kind"] == "attention" {
                bank["options"]["ropeTheta"] = 500.0.into();
            }
        }
    });
    assert!(says.contains("banks.attention.0.options.ropeTheta is 10000.0 there and 500.0 here"), "{says}");
}

#[test]
fn logits_are_those_of_one_sequence_and_refuse_tokens_that_are_none() {
    let trainer = Trainer::new(Cpu::new(1).expect("threads"), Micro { seq_len: 4, ..crate::micro::MIXED }.plan()).expect("memory");
    let logits = trainer.logits(&[1, 2, 3]).expect("logits");
    assert_eq!(logits.len(), 3 * VOCAB);
    assert!(trainer.logits(&[1, 2]).expect("logits") == logits[..2 * VOCAB], "what comes later changes nothing");
    assert!(trainer.logits(&[]).expect("logits").is_empty());
    let says = trainer.logits(&[1, VOCAB as i32]).expect_err("no token").to_string();
    assert_eq!(says, "Cannot use token 23 at position 1: wanted 0 to 22");
}
