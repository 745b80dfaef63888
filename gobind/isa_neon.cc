//go:build !segnas_system

#include "../csrc/isa/neon.cc"
