// One call of one public operation as opcheck sees it: the arguments with the freedom that segnas.h gives their layout, the call, and
// what the call must write.
#pragma once
#include <functional>
#include <initializer_list>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "../include/segnas/segnas.h"
#include "random.h"
#include "sum.h"

namespace segnas::check {

// What the inputs are drawn from. kInteger: small integers, on which exact operations give exact results. kEdge: signed zeros, denormals,
// and infinities and NaN where an argument takes them.
enum class Data { kInteger, kUniform, kEdge };
const char *data_name(Data data);

enum class Kind {
  kPixels,  // an activation [N,H,W,C] or [P,C]: free distance between pixels
  kMatrix,  // [rows, cols]: free distance between rows
  kVector,  // dense, any offset
  kLabels,  // dense, any offset
  kAny,     // any strides above the innermost, which is 1
  kFree     // any strides, in any order
};

enum class Role { kIn, kOut, kInOut };

// Which non-finite values segnas.h gives a meaning to in an argument.
enum class Special { kNone, kNaN, kAll };

struct Argument {
  const char *name;
  Kind kind;
  Role role;
  std::vector<int64_t> shape;
  segnas_dtype dtype = SEGNAS_F32;
  double low = -1, high = 1;  // of kUniform
  Special special = Special::kAll;
  // Draws an element in place of the ranges above.
  std::function<double(Random &)> element = nullptr;
  bool null = false;       // NULL in this problem
  bool optional = false;   // NULL is legal
  int alias = -1;          // the same tensor as this earlier argument ("y may be x")
  unsigned free_dims = 0;  // bit d: another size along d would be legal too
};

// Row-major elements of every argument, as doubles; empty for outputs.
using Values = std::vector<std::vector<double>>;
using Call = std::function<segnas_status(segnas_stream *, const segnas_tensor *const *, segnas_error *)>;

// What one output must be.
struct Expected {
  std::vector<double> value;
  bool exact = false;                   // equal to value rounded to the output's type
  std::vector<double> bound;            // else: how far off, beyond half a unit in the last place of the output's type
  std::vector<double> magnitude;        // of sums of products: what the sizes of the terms add up to
  double rms_limit = 0, rms_scale = 0;  // RMS(y - value) <= rms_limit * rms_scale, on uniform inputs; 0: no such limit
  // Set where more than one value is right (argmax): whether got is right for the element.
  std::function<bool(size_t element, double got)> accepts = nullptr;
};

struct Problem {
  std::string text;  // the case, e.g. "2x7x9x8 k3 s1"
  std::vector<Argument> arguments;
  Call call;
  // One entry per output (kOut, kInOut), in the arguments' order.
  std::function<std::vector<Expected>(Data, const Values &)> expect;
  std::vector<Data> data = {Data::kInteger, Data::kUniform, Data::kEdge};
  // Calls on the same arguments that must be refused, and what is wrong with each.
  std::vector<std::pair<std::string, Call>> refusals = {};
  // Changes drawn inputs, where they must fit each other.
  std::function<void(Values &)> adjust = nullptr;
  bool clobbers = false;  // a refusal may leave the outputs in any state
};

// Where a function gives one result to the bit: sums in double over the CPU's blocks do on every instruction set, and on a GPU in another order.
enum class SameBits { kNowhere, kOnInstructionSets, kOnEveryBackend };

struct Function {
  std::string op;    // folder in csrc/ops
  std::string name;  // of segnas.h, without the prefix
  int64_t cases = 0;
  std::function<Problem(int64_t)> problem;  // of a row of the case table
  std::function<Problem(Random &)> draw;    // of a legal case at random
  SameBits same_bits = SameBits::kNowhere;
  std::vector<Problem> illegal = {};        // shapes that must be refused
  bool narrow = false;                      // with activations of 16 bits (sixteen.h): plug-ins have it
  bool composed = false;                    // a property of several public functions, not one of them
};

template <class Case>
using NamedProblem = std::pair<const char *, Problem (*)(const Case &)>;

// Adds functions whose cases are the rows of their op's cases.inc, or drawn by `draw`.
template <class Case, size_t N>
void add_functions(std::vector<Function> &functions, const std::string &op, const Case (&cases)[N], Case (*draw)(Random &), SameBits same_bits,
                   std::initializer_list<std::type_identity_t<NamedProblem<Case>>> problems) {
  for (const auto &[name, problem] : problems) {
    Function function;
    function.op = op;
    function.name = name;
    function.cases = static_cast<int64_t>(N);
    function.problem = [&cases, problem = problem](int64_t row) { return problem(cases[row]); };
    function.draw = [draw, problem = problem](Random &random) { return problem(draw(random)); };
    function.same_bits = same_bits;
    functions.push_back(std::move(function));
  }
}

int64_t elements(const std::vector<int64_t> &shape);
// "2x3x5"
std::string sizes_text(const std::vector<int64_t> &shape);
bool is_output(const Argument &argument);
bool is_input(const Argument &argument);

// Inputs for a problem, drawn from the seed.
Values draw_values(const Problem &problem, Data data, uint64_t seed);

// The most terms that a kernel may add one after the other; longer sums go in blocks whose partial sums are added pairwise.
constexpr int64_t kSumBlock = 1024;
// h of the bound (h+2) 2^-24 sum|terms|: the depth of the deepest sum.
int64_t summation_depth(int64_t terms);
// Values and bounds of float32 sums. extra: roundings that each term has had beyond its product.
Expected expected_sums(const std::vector<ref::Sum> &sums, int64_t extra = 0);
// The same for an operation that is exact on integers.
Expected expected_products(Data data, const std::vector<ref::Sum> &sums);
// Exactly these values, after rounding to the output's type.
Expected expected_exactly(std::vector<double> values);
// Within eight times the distance between float32 references and the double one: the tensor's largest, over references that add in different
// orders (one alone may be right by chance); and a float32 result is not known better than half an ulp.
Expected expected_within_eightfold(const std::vector<std::vector<float>> &singles, std::vector<double> exact);
// What a sum starts from: nothing, or the old gradient (accumulate).
std::vector<ref::Sum> sums_onto(const std::vector<double> &old, int64_t count, bool accumulate);
std::vector<double> values_of(const std::vector<ref::Sum> &sums);

// "" or a line that says which element is wrong, by how much.
std::string compare(const Argument &argument, const Expected &expected, Data data, const std::vector<double> &got);

}  // namespace segnas::check
