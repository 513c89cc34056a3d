//! What of a file is admitted: read before anything in it runs.

use std::collections::HashMap;

use cache_enterprise_core::{Error, ErrorKind, Result};
use tract_onnx::pb::tensor_proto::DataType;
use tract_onnx::pb::tensor_shape_proto::dimension;
use tract_onnx::pb::{
    AttributeProto, GraphProto, ModelProto, NodeProto, TensorProto, ValueInfoProto, type_proto,
};

/// Nodes of a model.
const NODES_MAX: usize = 256;
/// Multiplications of an inference, told by the weights that its nodes use.
const WORK_MAX: usize = 4 << 20;
/// Numbers in a row, at the input and between.
pub(super) const WIDTH_MAX: usize = 65_536;
/// Attributes of a node.
const ATTRIBUTES_MAX: usize = 16;
/// Versions of the operator set that the library is tested with.
const VERSIONS: std::ops::RangeInclusive<i64> = 9..=18;
/// Bytes of a name in an error.
const SHOWN_BYTES_MAX: usize = 64;

/// Operators that make a row of rows and weights: none has a size among its data, loops or draws.
const OPERATORS: [&str; 27] = [
    "Abs",
    "Add",
    "BatchNormalization",
    "Clip",
    "Div",
    "Elu",
    "Exp",
    "Flatten",
    "Gemm",
    "HardSigmoid",
    "Identity",
    "LeakyRelu",
    "Log",
    "MatMul",
    "Max",
    "Min",
    "Mul",
    "Neg",
    "Pow",
    "Relu",
    "Selu",
    "Sigmoid",
    "Softmax",
    "Softplus",
    "Sqrt",
    "Sub",
    "Tanh",
];

/// What a file says of its input.
#[derive(Clone, Debug)]
pub(super) struct Declared {
    pub(super) inputs: usize,
    /// Their names in order, where it says them.
    pub(super) features: Option<Vec<Box<str>>>,
}

/// What a name in the file stands for.
#[derive(Clone, Copy)]
enum Known {
    /// So many weights.
    Weights(usize),
    /// Numbers that depend on the input.
    Row,
}

/// What the model declares, if all of it is admitted.
pub(super) fn declared(model: &ModelProto) -> Result<Declared> {
    if !model.functions.is_empty() || !model.training_info.is_empty() {
        return Err(unsupported("functions or training", ""));
    }
    for set in &model.opset_import {
        if !matches!(&*set.domain, "" | "ai.onnx") || !VERSIONS.contains(&set.version) {
            return Err(unsupported("operator set", &format!("{} {}", set.domain, set.version)));
        }
    }
    let graph = model.graph.as_ref().filter(|_| !model.opset_import.is_empty());
    let graph = graph.ok_or_else(|| corrupt("a model has no graph or no operator set", ""))?;
    let mut known = weights(graph)?;
    let inputs = input(graph, &mut known)?;
    nodes(graph, &mut known)?;
    match &graph.output[..] {
        [output] if matches!(known.get(&*output.name), Some(Known::Row)) => {}
        _ => return Err(corrupt("a model has not one output that depends on its input", "")),
    }
    let entry = model.metadata_props.iter().find(|entry| entry.key == "features");
    let names = |text: &str| text.split(',').map(|name| name.trim().into()).collect::<Vec<_>>();
    let features = entry.map(|entry| names(&entry.value));
    if features.as_ref().is_some_and(|names| names.len() != inputs) {
        return Err(corrupt("a model names another number of features than it takes", ""));
    }
    Ok(Declared { inputs, features })
}

/// The weights by name.
fn weights(graph: &GraphProto) -> Result<HashMap<&str, Known>> {
    if !graph.sparse_initializer.is_empty() || !graph.quantization_annotation.is_empty() {
        return Err(unsupported("sparse or quantized weights", ""));
    }
    let mut known = HashMap::new();
    for tensor in &graph.initializer {
        let count = count(tensor)?;
        if known.insert(&*tensor.name, Known::Weights(count)).is_some() {
            return Err(corrupt("two weights of a model have one name", &tensor.name));
        }
    }
    Ok(known)
}

/// How many numbers a tensor has, if it holds as many as it says.
fn count(tensor: &TensorProto) -> Result<usize> {
    let is_inside = tensor.external_data.is_empty() && tensor.data_location.unwrap_or(0) == 0;
    if tensor.data_type != DataType::Float as i32 || !is_inside || tensor.segment.is_some() {
        return Err(unsupported(
            "weights that are not of 32 bits or not in the file",
            &tensor.name,
        ));
    }
    if tensor.dims.len() > 2 {
        return Err(unsupported("weights of more than two dimensions", &tensor.name));
    }
    let held = match tensor.raw_data.len() {
        0 => tensor.float_data.len(),
        bytes if bytes % 4 == 0 && tensor.float_data.is_empty() => bytes / 4,
        _ => return Err(corrupt("the weights of a model are cut", &tensor.name)),
    };
    let of_dimension = |count: usize, dimension: &i64| {
        count.checked_mul(usize::try_from(*dimension).ok().filter(|dimension| *dimension > 0)?)
    };
    let told = tensor.dims.iter().try_fold(1, of_dimension);
    if told != Some(held) {
        return Err(corrupt("the weights of a model do not fit their dimensions", &tensor.name));
    }
    let floats = tensor.raw_data.as_chunks::<4>().0.iter().map(|bytes| f32::from_le_bytes(*bytes));
    if !floats.chain(tensor.float_data.iter().copied()).all(f32::is_finite) {
        return Err(corrupt("a weight of a model is not finite", &tensor.name));
    }
    Ok(held)
}

/// The length of the one input; that of weights may stand among the inputs in older files.
fn input<'a>(graph: &'a GraphProto, known: &mut HashMap<&'a str, Known>) -> Result<usize> {
    let mut rows = graph.input.iter().filter(|input| !known.contains_key(&*input.name));
    let (Some(input), None) = (rows.next(), rows.next()) else {
        return Err(unsupported("another number of inputs than one", ""));
    };
    let width = width(input).ok_or_else(|| {
        unsupported("an input that is no row of 32-bit numbers of a fixed length", &input.name)
    })?;
    if width > WIDTH_MAX {
        return Err(too_large("the input of a model", width, WIDTH_MAX));
    }
    known.insert(&input.name, Known::Row);
    Ok(width)
}

/// The length of a row, if it is one: one dimension, or two of which the first is 1 or open.
fn width(input: &ValueInfoProto) -> Option<usize> {
    let type_proto::Value::TensorType(tensor) = input.r#type.as_ref()?.value.as_ref()?;
    let shape = tensor.shape.as_ref().filter(|_| tensor.elem_type == DataType::Float as i32)?;
    let [rows, columns] = &shape.dim[..] else { return None };
    let is_open =
        |value: &dimension::Value| !matches!(value, dimension::Value::DimValue(rows) if *rows != 1);
    rows.value.as_ref().is_none_or(is_open).then_some(())?;
    let Some(dimension::Value::DimValue(columns)) = columns.value else { return None };
    usize::try_from(columns).ok().filter(|columns| *columns > 0)
}

/// Judges the nodes in their order: each takes what is known before it.
fn nodes<'a>(graph: &'a GraphProto, known: &mut HashMap<&'a str, Known>) -> Result<()> {
    if graph.node.len() > NODES_MAX {
        return Err(too_large("the number of nodes of a model", graph.node.len(), NODES_MAX));
    }
    let mut work = 0;
    for node in &graph.node {
        work += admitted(node, known)?;
        if work > WORK_MAX {
            return Err(too_large("the number of multiplications of a model", work, WORK_MAX));
        }
        match &node.output[..] {
            [output] if !output.is_empty() && !known.contains_key(&**output) => {
                known.insert(output, Known::Row);
            }
            _ => {
                return Err(corrupt(
                    "a node has not one output with a name of its own",
                    &node.name,
                ));
            }
        }
    }
    Ok(())
}

/// The weights that a node uses, if it is admitted.
fn admitted(node: &NodeProto, known: &HashMap<&str, Known>) -> Result<usize> {
    let is_known = matches!(&*node.domain, "" | "ai.onnx") && OPERATORS.contains(&&*node.op_type);
    if !is_known {
        return Err(unsupported("operator", &format!("{} {}", node.domain, node.op_type)));
    }
    if node.attribute.len() > ATTRIBUTES_MAX || !node.attribute.iter().all(is_plain) {
        return Err(unsupported("an attribute of an operator", &node.op_type));
    }
    let (mut work, mut depends) = (0_usize, false);
    for name in node.input.iter().filter(|name| !name.is_empty()) {
        match known.get(&**name) {
            Some(Known::Weights(count)) => work = work.saturating_add(*count),
            Some(Known::Row) => depends = true,
            None => return Err(corrupt("a node takes what is not made before it", name)),
        }
    }
    if !depends {
        return Err(unsupported("a node that does not depend on the input", &node.op_type));
    }
    Ok(work)
}

/// Whether an attribute is a number, numbers, or a short text.
fn is_plain(attribute: &AttributeProto) -> bool {
    let AttributeProto { t, g, sparse_tensor, tensors, graphs, sparse_tensors, .. } = attribute;
    let has_none = t.is_none() && g.is_none() && sparse_tensor.is_none();
    let has_no_list = tensors.is_empty() && graphs.is_empty() && sparse_tensors.is_empty();
    let is_small = attribute.ints.len().max(attribute.floats.len()) <= ATTRIBUTES_MAX
        && attribute.strings.is_empty()
        && attribute.type_protos.is_empty()
        && attribute.ref_attr_name.is_empty();
    has_none && has_no_list && is_small && attribute.f.is_finite()
}

pub(super) fn too_large(what: &str, given: usize, limit: usize) -> Error {
    let text = format!("{what} is over the limit");
    Error::new(ErrorKind::TooLarge, text).with("given", given).with("limit", limit)
}

pub(super) fn refused(kind: ErrorKind, text: &'static str, why: impl AsRef<str>) -> Error {
    let why = why.as_ref();
    let end = (0..=SHOWN_BYTES_MAX.min(why.len())).rev().find(|end| why.is_char_boundary(*end));
    Error::new(kind, text).with("what", &why[..end.unwrap_or(0)])
}

fn unsupported(what: &'static str, name: &str) -> Error {
    refused(ErrorKind::Unsupported, "a model uses what is not admitted", name).with("refused", what)
}

fn corrupt(text: &'static str, name: &str) -> Error {
    refused(ErrorKind::Corrupt, text, name)
}
