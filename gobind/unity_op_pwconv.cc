//go:build !segnas_system

#include "contract.h"

#include "../csrc/ops/pwconv/pwconv.cc"
