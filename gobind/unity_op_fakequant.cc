//go:build !segnas_system

#include "../csrc/ops/fakequant/fakequant.cc"
