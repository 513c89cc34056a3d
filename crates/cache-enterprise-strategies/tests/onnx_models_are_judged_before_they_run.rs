//! A model in ONNX answers as it was trained to, and a file that asks for more than rows of numbers
//! is refused before any of it runs. The files are written here, field by field.
#![allow(clippy::unwrap_used)]

mod seeded;

use std::sync::Arc;

use cache_enterprise_core::ErrorKind;
use cache_enterprise_strategies::predict::model::{
    Access, Inference, ModelContext, OnnxModel, PredictionModel, Supplied,
};
use seeded::Draws;

/// A message of Protocol Buffers, written by number of field.
#[derive(Clone, Default)]
struct Message(Vec<u8>);

impl Message {
    fn varint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.0.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.0.push(value as u8);
    }

    fn int(mut self, field: u64, value: i64) -> Self {
        self.varint(field << 3);
        self.varint(value as u64);
        self
    }

    fn float(mut self, field: u64, value: f32) -> Self {
        self.varint(field << 3 | 5);
        self.0.extend_from_slice(&value.to_le_bytes());
        self
    }

    fn bytes(mut self, field: u64, bytes: &[u8]) -> Self {
        self.varint(field << 3 | 2);
        self.varint(bytes.len() as u64);
        self.0.extend_from_slice(bytes);
        self
    }

    fn text(self, field: u64, text: &str) -> Self {
        self.bytes(field, text.as_bytes())
    }

    fn message(self, field: u64, message: Message) -> Self {
        self.bytes(field, &message.0)
    }
}

/// A graph with its parts in any number.
#[derive(Clone, Default)]
struct Graph(Message);

impl Graph {
    fn new() -> Self {
        Self(Message::default().text(2, "scores"))
    }

    fn node(self, operator: &str, inputs: &[&str], output: &str) -> Self {
        self.attributed(operator, inputs, output, [])
    }

    fn attributed<const N: usize>(
        self,
        operator: &str,
        inputs: &[&str],
        output: &str,
        attributes: [Message; N],
    ) -> Self {
        let node = inputs.iter().fold(Message::default(), |node, input| node.text(1, input));
        let node = node.text(2, output).text(4, operator);
        let node = attributes.into_iter().fold(node, |node, attribute| node.message(5, attribute));
        Self(self.0.message(1, node))
    }

    fn weights(self, name: &str, dims: &[i64], values: &[f32]) -> Self {
        let raw: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        let tensor = dims.iter().fold(Message::default(), |tensor, dim| tensor.int(1, *dim));
        self.tensor(tensor.int(2, 1).text(8, name).bytes(9, &raw))
    }

    fn tensor(self, tensor: Message) -> Self {
        Self(self.0.message(5, tensor))
    }

    /// An input (11) or output (12) of so many rows and columns.
    fn value(self, field: u64, name: &str, dims: [i64; 2]) -> Self {
        let dim = |size| Message::default().int(1, size);
        let shape =
            dims.into_iter().fold(Message::default(), |shape, size| shape.message(1, dim(size)));
        let tensor = Message::default().int(1, 1).message(2, shape);
        let info =
            Message::default().text(1, name).message(2, Message::default().message(1, tensor));
        Self(self.0.message(field, info))
    }

    fn model(self) -> Message {
        let set = Message::default().text(1, "").int(2, 13);
        Message::default().int(1, 8).message(8, set).message(7, self.0)
    }

    fn file(self) -> Vec<u8> {
        self.model().0
    }
}

/// `2 a - b + 0.5`.
fn linear() -> Graph {
    Graph::new()
        .value(11, "x", [1, 2])
        .weights("w", &[2, 1], &[2.0, -1.0])
        .weights("b", &[1], &[0.5])
        .node("Gemm", &["x", "w", "b"], "y")
        .value(12, "y", [1, 1])
}

/// Three neurons over two inputs, and a logistic function of their sum.
fn network() -> Graph {
    Graph::new()
        .value(11, "x", [1, 2])
        .weights("w1", &[2, 3], &[1.0, -1.0, 0.5, 0.25, 1.0, -2.0])
        .weights("b1", &[3], &[0.0, 0.5, 1.0])
        .weights("w2", &[3, 1], &[1.0, 2.0, 3.0])
        .node("MatMul", &["x", "w1"], "h0")
        .node("Add", &["h0", "b1"], "h1")
        .node("Relu", &["h1"], "h2")
        .node("MatMul", &["h2", "w2"], "s")
        .node("Sigmoid", &["s"], "y")
        .value(12, "y", [1, 1])
}

fn by_hand(a: f64, b: f64) -> f64 {
    let hidden = [a + 0.25 * b, -a + b + 0.5, 0.5 * a - 2.0 * b + 1.0].map(|sum| sum.max(0.0));
    1.0 / (1.0 + (-(hidden[0] + 2.0 * hidden[1] + 3.0 * hidden[2])).exp())
}

fn loaded(graph: Graph) -> OnnxModel {
    OnnxModel::from_bytes(&graph.file()).unwrap()
}

/// Why a file is refused.
fn refusal(file: &[u8]) -> (ErrorKind, String) {
    let error = OnnxModel::from_bytes(file).unwrap_err();
    (error.kind(), error.to_string())
}

#[test]
fn it_answers_what_the_same_numbers_give_by_hand() {
    let (linear, network) = (loaded(linear()), loaded(network()));
    let mut draws = Draws(0x0717);
    for _ in 0..200 {
        let [a, b] = [draws.unit() * 8.0 - 4.0, draws.unit() * 8.0 - 4.0].map(|x| x as f32);
        let [x, y] = [a, b].map(f64::from);
        assert!((linear.infer(&[a, b]).unwrap() - (2.0 * x - y + 0.5)).abs() < 1e-4, "{a} {b}");
        assert!((network.infer(&[a, b]).unwrap() - by_hand(x, y)).abs() < 1e-4, "{a} {b}");
    }
    assert_eq!(linear.infer(&[1.0]), None, "a row of another length");
    // As frameworks write a layer: weights by output, any number of rows, numbers as attributes.
    let whole = |name: &str, value| Message::default().text(1, name).int(3, value).int(20, 2);
    let alpha = Message::default().text(1, "alpha").float(2, 1.0).int(20, 1);
    let layer = Graph::new()
        .value(11, "x", [1, 2])
        .weights("net.0.weight", &[1, 2], &[2.0, -1.0])
        .weights("net.0.bias", &[1], &[0.5])
        .attributed("Gemm", &["x", "net.0.weight", "net.0.bias"], "y", [alpha, whole("transB", 1)])
        .value(12, "y", [1, 1]);
    assert_eq!(loaded(layer).infer(&[3.0, 1.0]), Some(5.5));
}

#[test]
fn it_ranks_keys_by_the_features_of_its_schema() {
    let model = Arc::new(loaded(linear()));
    let mut ranked = Supplied::new(model, &["log_count", "log_bytes"], 100).unwrap();
    let anywhere = ModelContext::default();
    for at in 0..40_u64 {
        ranked.learn(&Access::new("small", &anywhere, at).bytes(16));
        ranked.learn(&Access::new("huge", &anywhere, at).bytes(1 << 40));
        if at < 3 {
            ranked.learn(&Access::new("rare", &anywhere, at).bytes(16));
        }
    }
    let keys: Vec<_> = ranked.rank(&anywhere, 40, 3).into_iter().map(|one| one.key).collect();
    assert_eq!(keys.iter().map(|key| &**key).collect::<Vec<_>>(), ["small", "rare", "huge"]);
}

#[test]
fn a_schema_that_does_not_fit_is_refused_and_says_both() {
    let model = Arc::new(loaded(linear()));
    assert!(Supplied::new(model, &["log_count"], 100).is_err(), "it takes two");
    let named = linear()
        .model()
        .message(14, Message::default().text(1, "features").text(2, "log_count, log_bytes"));
    let model = Arc::new(OnnxModel::from_bytes(&named.0).unwrap());
    assert!(Supplied::new(Arc::clone(&model) as _, &["log_count", "log_bytes"], 100).is_ok());
    let error = Supplied::new(model, &["log_bytes", "log_count"], 100).unwrap_err().to_string();
    assert!(
        error.contains("log_bytes, log_count") && error.contains("log_count, log_bytes"),
        "{error}"
    );
    let short =
        linear().model().message(14, Message::default().text(1, "features").text(2, "log_count"));
    assert_eq!(refusal(&short.0).0, ErrorKind::Corrupt);
}

#[test]
fn every_cut_and_any_damage_is_an_error_or_a_model_and_never_more() {
    let file = network().file();
    for end in 0..file.len() {
        // A cut between two fields may leave a model; one without its end cannot.
        if let Ok(model) = OnnxModel::from_bytes(&file[..end]) {
            assert!(model.infer(&[1.0, 1.0]).is_none_or(f64::is_finite), "{end}");
        }
    }
    assert_eq!(refusal(b"").0, ErrorKind::Corrupt);
    assert_eq!(refusal(&file[..file.len() / 2]).0, ErrorKind::Corrupt);
    let mut draws = Draws(0xda3a);
    let mut refused = 0;
    for _ in 0..2_000 {
        let mut damaged = file.clone();
        for _ in 0..1 + draws.below(4) {
            let at = draws.below(damaged.len());
            damaged[at] = draws.bits() as u8;
        }
        match OnnxModel::from_bytes(&damaged) {
            Ok(model) => drop(model.infer(&[1.0, 1.0])),
            Err(_) => refused += 1,
        }
    }
    assert!(refused > 500, "{refused} of 2000");
}

#[test]
fn files_and_models_over_a_limit_are_told_so() {
    assert_eq!(refusal(&vec![0; (1 << 20) + 1]).0, ErrorKind::TooLarge);
    let chain = (0..300).fold(Graph::new().value(11, "x0", [1, 1]), |graph, at| {
        graph.node("Relu", &[&format!("x{at}")], &format!("x{}", at + 1))
    });
    let (kind, said) = refusal(&chain.value(12, "x300", [1, 1]).file());
    assert!(kind == ErrorKind::TooLarge && said.contains("nodes"), "{said}");
    // A weight counts for each node that uses it.
    let square =
        Graph::new().value(11, "x0", [1, 400]).weights("w", &[400, 400], &[0.001; 160_000]);
    let busy = (0..40).fold(square, |graph, at| {
        graph.node("MatMul", &[&format!("x{at}"), "w"], &format!("x{}", at + 1))
    });
    let (kind, said) = refusal(&busy.value(12, "x40", [1, 400]).file());
    assert!(kind == ErrorKind::TooLarge && said.contains("multiplications"), "{said}");
}

#[test]
fn what_a_row_model_needs_not_is_refused_by_name() {
    let base = || Graph::new().value(11, "x", [1, 2]);
    let float = |name: &str, dims: &[i64]| {
        dims.iter()
            .fold(Message::default(), |tensor, dim| tensor.int(1, *dim))
            .int(2, 1)
            .text(8, name)
    };
    let external = Message::default().text(1, "location").text(2, "other_file");
    let subgraph = Message::default().text(1, "body").message(6, Message::default());
    let end = |graph: Graph| graph.value(12, "y", [1, 1]).file();
    let cases: [(&str, Vec<u8>); 12] = [
        ("Loop", end(base().node("Loop", &["x"], "y"))),
        ("ConstantOfShape", end(base().node("ConstantOfShape", &["x"], "y"))),
        ("attribute", end(base().attributed("Relu", &["x"], "y", [subgraph]))),
        ("not in the file", end(base().tensor(float("w", &[2, 1]).message(13, external)))),
        ("dimensions", end(base().tensor(float("w", &[1 << 40, 1 << 40])))),
        ("dimensions", end(base().tensor(float("w", &[-1, 2])))),
        ("two dimensions", end(base().weights("w", &[1, 1, 1], &[1.0]))),
        ("not finite", end(base().weights("w", &[1], &[f32::NAN]))),
        ("depend", end(base().weights("w", &[1], &[1.0]).node("Relu", &["w"], "y"))),
        ("not made before it", end(base().node("Relu", &["z"], "y"))),
        ("inputs", end(base().value(11, "z", [1, 2]).node("Add", &["x", "z"], "y"))),
        ("one output", base().node("Relu", &["x"], "y").value(12, "nobody", [1, 1]).file()),
    ];
    for (named, file) in cases {
        let (_, said) = refusal(&file);
        assert!(said.contains(named), "{named}: {said}");
    }
    // Each admitted by itself, together a matrix: the shapes tell.
    let matrix = base().weights("w", &[3, 1], &[1.0; 3]).node("Add", &["x", "w"], "y");
    assert!(refusal(&end(matrix)).1.contains("shapes"));
    let two = base().node("Relu", &["x"], "y").value(12, "y", [1, 2]).file();
    assert!(refusal(&two).1.contains("shapes"), "two numbers are no score");
    let missing = Message::default().int(1, 8).message(8, Message::default().int(2, 13));
    assert!(refusal(&missing.0).1.contains("no graph"));
    let float_attribute = Message::default().text(1, "alpha").int(20, 1).float(2, f32::INFINITY);
    let leaky = base().attributed("LeakyRelu", &["x"], "y", [float_attribute]);
    assert!(refusal(&end(leaky)).1.contains("attribute"));
}
