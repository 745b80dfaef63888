// Memory that is read or written next, asked for a line at a time while the FMA ports are busy. {nullptr, nullptr}: nothing.
// (Plain data: kernels of every instruction set take it.)
#pragma once

namespace segnas {

struct Ahead {
  const char *at, *end;
};

}  // namespace segnas
