//go:build !segnas_system

#include "../csrc/ops/ktransform/ktransform.cc"
