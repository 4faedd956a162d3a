//! Export: what is written is what the checkpoint holds, comes back by import, and is whole or not there.

use crate::common::{models, weights};
use crate::micro::{LORA, MIXED, Micro, OLMOE, VANILLA, unwatched};
use bowline::checkpoint::{self, Content, State, TensorRef};
use bowline::data::Watch;
use bowline::error::{Error, Result};
use bowline::interop::{ExportReport, ExportRequest, ExportType, Family, Form, ImportRequest, TensorFiles, names};
use bowline::layout::Layout;
use bowline::plan::Plan;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use tempfile::TempDir;

/// A folder with the checkpoint `in`.
struct Case {
    folder: TempDir,
    family: Family,
    plan: Plan,
    layout: Layout,
    weights: Vec<Vec<f32>>,
}

impl Case {
    fn new(family: Family, plan: Plan) -> Self {
        let layout = Layout::new(&plan).expect("checked");
        // Numbers that bf16 cannot hold: a seventh of those that it can.
        let weights = weights(&layout).iter().map(|values| values.iter().map(|x| x / 7.0).collect()).collect();
        Case::of(family, plan, layout, weights)
    }

    fn of(family: Family, plan: Plan, layout: Layout, weights: Vec<Vec<f32>>) -> Self {
        let case = Case { folder: tempfile::tempdir().expect("temp"), family, plan, layout, weights };
        let model: Vec<_> =
            case.layout.params.iter().zip(&case.weights).map(|(p, data)| TensorRef { name: &p.name, shape: &p.shape, data }).collect();
        let state = State { step: 3, tokens: 42, loader: None };
        let plan = case.plan.to_json().expect("json");
        let content = Content { state: &state, plan: &plan, model: &model, optimizer: &[], tokenizer: None };
        checkpoint::write(&case.at("in"), &content).expect("written");
        case
    }

    fn at(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn request(&self, dtype: ExportType, shard_bytes: u64) -> ExportRequest {
        let config = Map::from_iter([("clip_qkv".to_string(), json!(8)), ("hidden_size".to_string(), json!(8))]);
        ExportRequest { checkpoint: self.at("in"), family: self.family, dtype, shard_bytes, config, out: self.at("out") }
    }

    fn export(&self, dtype: ExportType, shard_bytes: u64) -> Result<ExportReport> {
        unwatched(|watch| self.request(dtype, shard_bytes).run(watch))
    }

    /// The error of the export, which must leave nothing.
    fn refused(&self) -> String {
        let says = self.export(ExportType::F32, u64::MAX).expect_err("wanted an error").to_string();
        self.assert_nothing_written();
        says
    }

    fn assert_nothing_written(&self) {
        let names: Vec<_> = std::fs::read_dir(self.folder.path())
            .expect("folder")
            .map(|entry| entry.expect("entry").file_name().into_string().expect("UTF-8"))
            .collect();
        assert_eq!(names, ["in"]);
    }

    /// Every tensor of the table is in the files, with the numbers of its place as `round` makes them.
    fn assert_exported(&self, round: fn(f32) -> f32) {
        let files = TensorFiles::open(&self.at("out")).expect("headers");
        let wanted: Vec<_> = names(self.family, Form::PerExpert, &self.layout).collect();
        assert_eq!(files.names().count(), wanted.len());
        for name in wanted {
            let info = files.info(&name.name).unwrap_or_else(|| panic!("no tensor {}", name.name));
            assert_eq!(info.shape, name.shape, "{}", name.name);
            let mut got = vec![f32::NAN; name.size()];
            unwatched(|watch| files.read(info, &mut got, watch)).expect("read");
            let want = self.weights[name.param][name.start..name.start + name.size()].iter().map(|&x| round(x).to_bits());
            assert!(got.iter().map(|x| x.to_bits()).eq(want), "{}", name.name);
        }
    }

    fn json(&self, file: &str) -> Value {
        serde_json::from_slice(&std::fs::read(self.at("out").join(file)).expect("written")).expect("json")
    }
}

/// Tied models: expanded ones of every family, and compact ones.
fn cases() -> Vec<Case> {
    let compact = [OLMOE, MIXED, VANILLA, Micro { all_tied: true, ..OLMOE }];
    let expanded = models().map(|(family, _)| family).into_iter().zip([
        OLMOE.plan(),
        VANILLA.plan(),
        MIXED.plan(),
        Micro { qk_norm: "none", clamp: None, renormalize: true, ..OLMOE }.plan(),
    ]);
    expanded.chain(compact.map(|micro| (Family::Bowline, micro.plan()))).map(|(family, plan)| Case::new(family, plan)).collect()
}

#[test]
fn every_tensor_has_the_bits_of_its_place_in_the_checkpoint() {
    for case in cases() {
        let report = case.export(ExportType::F32, u64::MAX).expect("exported");
        case.assert_exported(|x| x);
        assert_eq!((report.step, report.bytes, report.has_tokenizer), (3, 4 * report.parameters as u64, false));
        let once: usize = case.layout.params.iter().map(|p| p.size()).sum();
        let is_compact = case.family == Family::Bowline;
        assert!(if is_compact { report.parameters == once } else { report.parameters > once }, "{:?}: {report:?}", case.family);
        let name = |entry: std::io::Result<std::fs::DirEntry>| entry.expect("entry").file_name().into_string().expect("text");
        let mut written: Vec<String> = std::fs::read_dir(case.at("out")).expect("folder").map(name).collect();
        written.sort();
        assert_eq!(written, report.files);
        assert_eq!(written.contains(&"modeling_bowline.py".to_string()), is_compact);
    }
}

#[test]
fn bf16_is_the_nearest_number() {
    for case in cases() {
        case.export(ExportType::Bf16, u64::MAX).expect("exported");
        case.assert_exported(|x| half::bf16::from_f32(x).to_f32());
        assert_eq!(case.json("config.json")["torch_dtype"], "bfloat16");
    }
    let ties = [0x3f80_8000, 0x3f81_8000, 0x3f80_7fff, 0x3f80_8001].map(f32::from_bits);
    assert_eq!(ties.map(|x| half::bf16::from_f32(x).to_bits()), [0x3f80, 0x3f82, 0x3f80, 0x3f81], "ties go to even");
}

#[test]
fn files_are_cut_at_the_limit_and_an_index_names_them() {
    let case = Case::new(Family::Olmoe, OLMOE.plan());
    let report = case.export(ExportType::F32, 2000).expect("exported");
    case.assert_exported(|x| x);
    let index = case.json("model.safetensors.index.json");
    assert_eq!(index["metadata"]["total_size"], report.bytes);
    assert_eq!(index["weight_map"].as_object().expect("a map").len(), report.tensors);
    let shards: Vec<_> = report.files.iter().filter(|name| name.ends_with(".safetensors")).collect();
    assert!(shards.len() > 2 && shards[0] == &format!("model-00001-of-{:05}.safetensors", shards.len()), "{shards:?}");
    for shard in shards {
        let bytes = std::fs::read(case.at("out").join(shard)).expect("written");
        let header = u64::from_le_bytes(bytes[..8].try_into().expect("eight")) as usize;
        let header_json: Value = serde_json::from_slice(&bytes[8..8 + header]).expect("json");
        assert_eq!(header_json["__metadata__"], json!({"format": "pt"}));
        assert!(bytes.len() - header - 8 <= 2000, "{shard}");
    }
}

#[test]
fn what_was_exported_is_imported_bit_for_bit() {
    for case in cases() {
        case.export(ExportType::F32, 3000).expect("exported");
        // The expanded form forgets who shares what, so its plan is untied and has a bank for each site.
        let untied = match case.family {
            Family::Bowline => case.plan.clone(),
            Family::Olmoe => Micro { group_size: 1, ..OLMOE }.plan(),
            _ => continue,
        };
        let request = ImportRequest {
            folder: case.at("out"),
            family: case.family,
            plan: untied.to_json().expect("json"),
            has_tokenizer: false,
            out: case.at("run"),
            files: BTreeMap::new(),
        };
        unwatched(|watch| request.run(watch)).expect("imported");
        let imported = case.at("run/checkpoints/step-00000000");
        if case.family == Family::Bowline {
            let model = |folder: PathBuf| std::fs::read(folder.join("model.safetensors")).expect("written");
            assert!(model(imported) == model(case.at("in")), "the model differs");
            continue;
        }
        let again = ExportRequest { checkpoint: imported, out: case.at("again"), ..case.request(ExportType::F32, 3000) };
        let report = unwatched(|watch| again.run(watch)).expect("exported");
        for file in report.files {
            let bytes = |folder: &str| std::fs::read(case.at(folder).join(&file)).expect("written");
            assert!(bytes("again") == bytes("out"), "{file} differs");
        }
    }
}

#[test]
fn fractions_are_written_as_such() {
    let case = Case::new(Family::Olmoe, OLMOE.plan());
    case.export(ExportType::F32, u64::MAX).expect("exported");
    let text = std::fs::read_to_string(case.at("out/config.json")).expect("written");
    assert!(text.contains("\"clip_qkv\": 8.0,") && text.contains("\"hidden_size\": 8,"), "{text}");
    let config = case.json("config.json");
    assert_eq!((&config["eos_token_id"], &config["dtype"]), (&Value::Null, &json!("float32")));
}

#[test]
fn what_cannot_be_exported_is_refused_with_nothing_written() {
    let says = Case::new(Family::Bowline, LORA.plan()).refused();
    assert!(says.ends_with("its adapter.0.a has no place in a model of transformers"), "{says}");

    let plan = OLMOE.plan();
    let layout = Layout::new(&plan).expect("checked");
    let mut spoilt = weights(&layout);
    spoilt[layout.sites[2].ffn.moe().expect("routed").down][5] = f32::NAN;
    let says = Case::of(Family::Olmoe, plan, layout, spoilt).refused();
    assert!(says.ends_with("its tensor experts.1.down has a value that is not finite"), "{says}");

    let case = Case::new(Family::Olmoe, OLMOE.plan());
    let model = case.at("in/model.safetensors");
    let mut bytes = std::fs::read(&model).expect("written");
    *bytes.last_mut().expect("bytes") ^= 1;
    std::fs::write(&model, bytes).expect("written");
    let says = case.refused();
    assert!(says.contains("model.safetensors: it is damaged, its SHA-256"), "{says}");

    let case = Case::new(Family::Olmoe, OLMOE.plan());
    std::fs::create_dir(case.at("out")).expect("created");
    let says = case.export(ExportType::F32, u64::MAX).expect_err("it exists").to_string();
    assert_eq!(says, format!("Cannot export to {}: it exists, wanted a new folder", case.at("out").display()));
}

#[test]
fn a_cancelled_export_leaves_nothing() {
    for after in [0.0, 0.35, 0.9] {
        let case = Case::new(Family::Olmoe, OLMOE.plan());
        let cancel = Arc::new(AtomicBool::new(false));
        let last = Mutex::new(0.0);
        let progress = |done: f64| {
            let mut last = last.lock().expect("one thread");
            assert!(done >= *last && done <= 1.0, "{done} after {last}");
            *last = done;
            cancel.store(done >= after, Ordering::Relaxed);
        };
        let result = case.request(ExportType::F32, 2000).run(&Watch::new(&progress, &cancel));
        assert!(matches!(result, Err(Error::Cancelled)), "{result:?}");
        case.assert_nothing_written();
    }
}
