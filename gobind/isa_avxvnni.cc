//go:build !segnas_system

#include "../csrc/isa/avxvnni.cc"
