//go:build !segnas_system

#include "contract.h"

#include "../csrc/train/conv3x3_norm.cc"
#include "../csrc/train/dwconv_norm.cc"
#include "../csrc/train/norm.cc"
#include "../csrc/train/pwconv_norm.cc"
#include "../csrc/train/quantised_norm.cc"
