//go:build !segnas_system

#include "../csrc/ops/batchnorm/batchnorm.cc"
