//! Models in ONNX, run by tract.
//!
//! A file is not believed: `check` reads it before any of it runs, and admits what has one row of
//! numbers in, one number out, and in between a short list of operators on rows. So what an inference
//! costs is known when the file is loaded, and no file can ask for more.

mod check;

use std::fmt;
use std::fs::File;
use std::io::Read;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Arc;

use cache_enterprise_core::{Error, ErrorKind, Result};
use tract_onnx::pb::ModelProto;
use tract_onnx::prelude::*;

use self::check::{Declared, WIDTH_MAX, refused};
use super::Inference;

/// Longest file in bytes. The messages in it may take a hundred times as much while it is read.
const BYTES_MAX: usize = 1 << 20;

/// A model that was trained elsewhere, in ONNX: one input of `f32` in a row, one number out.
///
/// It may use these operators of sets 9 to 18, each on at least one value that depends on the input:
/// `Abs`, `Add`, `BatchNormalization`, `Clip`, `Div`, `Elu`, `Exp`, `Flatten`, `Gemm`, `HardSigmoid`,
/// `Identity`, `LeakyRelu`, `Log`, `MatMul`, `Max`, `Min`, `Mul`, `Neg`, `Pow`, `Relu`, `Selu`, `Sigmoid`,
/// `Softmax`, `Softplus`, `Sqrt`, `Sub`, `Tanh`. That is linear models and networks of dense layers. At
/// most 256 nodes, 1 MiB of file, and four million multiplications an inference.
///
/// Where the file has an entry `features` among its metadata, the names of its inputs in order with
/// commas between them, [`Supplied`](super::Supplied) refuses any other schema.
///
/// ```no_run
/// use std::path::Path;
/// use std::sync::Arc;
///
/// use cache_enterprise_strategies::predict::model::{OnnxModel, Supplied};
///
/// let model = OnnxModel::open(Path::new("track_popularity.onnx"))?;
/// let ranked = Supplied::new(Arc::new(model), &["log_count", "log_idle_ms"], 100_000)?;
/// # Ok::<(), cache_enterprise_core::Error>(())
/// ```
#[derive(Clone)]
pub struct OnnxModel {
    plan: Arc<TypedRunnableModel>,
    declared: Declared,
}

impl OnnxModel {
    /// The model in a file of at most 1 MiB.
    ///
    /// # Errors
    /// When the file cannot be read, and as [`from_bytes`](Self::from_bytes).
    pub fn open(path: &Path) -> Result<Self> {
        let unreadable = |error| {
            Error::new(ErrorKind::InvalidInput, "cannot read the file of a model")
                .with("file", path.display())
                .source_error(error)
        };
        let mut bytes = Vec::new();
        let file = File::open(path).map_err(unreadable)?;
        file.take(BYTES_MAX as u64 + 1).read_to_end(&mut bytes).map_err(unreadable)?;
        Self::from_bytes(&bytes)
    }

    /// The model that these bytes are. Costs milliseconds.
    ///
    /// # Errors
    /// Of kind [`Corrupt`](ErrorKind::Corrupt) when the bytes are no ONNX or contradict themselves,
    /// [`TooLarge`](ErrorKind::TooLarge) when they are over a limit, and
    /// [`Unsupported`](ErrorKind::Unsupported) when the model uses what is not admitted; the error
    /// names it.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self> {
        if bytes.len() > BYTES_MAX {
            return Err(check::too_large("the file of a model", bytes.len(), BYTES_MAX));
        }
        let proto = contained(|| tract_onnx::onnx().proto_model_for_read(&mut &*bytes))
            .map_err(|why| refused(ErrorKind::Corrupt, "the bytes are no model in ONNX", why))?;
        let declared = check::declared(&proto)?;
        let plan = contained(|| plan(&proto, declared.inputs)).map_err(|why| {
            refused(ErrorKind::Corrupt, "the shapes of a model do not fit together", why)
        })?;
        Ok(Self { plan, declared })
    }
}

impl Inference for OnnxModel {
    fn inputs(&self) -> usize {
        self.declared.inputs
    }

    fn infer(&self, inputs: &[f32]) -> Option<f64> {
        let answer = contained(|| {
            let row = Tensor::from_shape(&[1, inputs.len()], inputs)?;
            let outputs = self.plan.run(tvec!(row.into_tvalue()))?;
            outputs[0].cast_to_scalar::<f32>()
        });
        answer.ok().map(f64::from)
    }

    fn features(&self) -> Option<&[Box<str>]> {
        self.declared.features.as_deref()
    }
}

impl fmt::Debug for OnnxModel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OnnxModel").field("declared", &self.declared).finish_non_exhaustive()
    }
}

/// The model made ready for one row, if every value in it is a row of bounded length.
fn plan(proto: &ModelProto, inputs: usize) -> TractResult<Arc<TypedRunnableModel>> {
    let row = InferenceFact::dt_shape(f32::datum_type(), tvec!(1, inputs));
    let model = tract_onnx::onnx().model_for_proto_model(proto)?;
    let model = model.with_input_fact(0, row)?.into_typed()?;
    for node in model.nodes() {
        // Weights were measured in the file.
        let is_weight = |fact: &TypedFact| fact.konst.is_some();
        for fact in node.outputs.iter().map(|output| &output.fact).filter(|fact| !is_weight(fact)) {
            let shape = fact.shape.as_concrete().unwrap_or(&[]);
            let width: usize = shape.iter().product();
            let is_row = shape.len() <= 2 && shape.iter().rev().skip(1).all(|rows| *rows == 1);
            if shape.len() != fact.shape.len() || !is_row || width > WIDTH_MAX {
                return Err(TractError::msg("a value is no row of bounded length"));
            }
        }
    }
    let output = model.output_fact(0)?;
    if output.datum_type != f32::datum_type() || output.shape.volume() != 1.into() {
        return Err(TractError::msg("the output is not one number"));
    }
    model.into_optimized()?.into_runnable()
}

/// What `work` gives, or why not. What escaped the checks and makes the library panic is an error
/// like another.
fn contained<T>(work: impl FnOnce() -> TractResult<T>) -> std::result::Result<T, String> {
    match catch_unwind(AssertUnwindSafe(work)) {
        Ok(Ok(made)) => Ok(made),
        Ok(Err(error)) => Err(error.to_string()),
        Err(_) => Err("the library gave up on it".to_owned()),
    }
}
