// A problem's arguments laid out in buffers, with guard bands, gaps and outputs full of a NaN that no arithmetic makes.
#pragma once
#include <array>
#include <memory>
#include <string>
#include <vector>

#include "places.h"
#include "problem.h"

namespace segnas::check {

// kDense: aligned, pixels and rows touching. kStrided: odd offsets, pixels and rows apart. kTight: dense, ending on the buffer's last
// element, where a read beyond the end is one that the address sanitizer sees.
enum class View { kDense, kStrided, kTight };
const char *view_name(View view);

struct Outcome {
  segnas_status status = SEGNAS_OK;
  std::string text;                           // the error's
  std::vector<std::vector<uint8_t>> outputs;  // dense elements of every output, in the arguments' order
  std::string damage;                         // a guard, a gap or an input that changed, or an output element left unwritten; "" when none
};

class Placement {
 public:
  // Lays the arguments out and fills them. Throws LibraryError when a buffer cannot be made or filled.
  Placement(segnas_stream *stream, segnas_context *context, const Problem &problem, const Values &values, View view, uint64_t seed);

  // The tensors for the call, one per argument (NULL where the problem passes NULL). Valid as long as the placement.
  const segnas_tensor *const *tensors() const { return pointers_.data(); }
  // A copy of an argument's tensor, to be broken by a test.
  segnas_tensor tensor(size_t argument) const { return tensors_[argument]; }
  // Reads everything back. unchanged: the outputs too must be as they were.
  void inspect(Outcome *outcome, bool unchanged = false) const;

 private:
  struct Release {
    void operator()(segnas_buffer *buffer) const { segnas_buffer_destroy(buffer); }
  };
  void place(size_t argument, const std::vector<double> &values, View view, Random &random);
  void inspect_argument(size_t argument, Outcome *outcome, bool unchanged) const;
  bool aliased_output(size_t argument) const;

  segnas_stream *stream_;
  segnas_context *context_;
  const Problem &problem_;
  std::vector<std::unique_ptr<segnas_buffer, Release>> buffers_;
  std::vector<std::vector<uint8_t>> images_;  // what each buffer held before the call
  std::vector<segnas_tensor> tensors_;
  std::vector<const segnas_tensor *> pointers_;
};

// Lays out, calls, inspects.
Outcome run_once(segnas_stream *stream, segnas_context *context, const Problem &problem, const Values &values, View view, uint64_t seed);

// Dense raw elements as doubles.
std::vector<double> decode(const std::vector<uint8_t> &raw, segnas_dtype dtype);

}  // namespace segnas::check
