/* The layout of every struct and the value of every constant that crosses the C border, against a golden file: a program compiled
 * with yesterday's header must run with today's library.
 *
 *   abi_test GOLDEN          compares; last line "N passed, N failed"
 *   abi_test --write GOLDEN  writes it (after a change that is meant, with a new version)
 */
#include <segnas/backend.h>
#include <segnas/segnas.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

enum { MOST_LINES = 256, LINE_BYTES = 128 };
static char lines[MOST_LINES][LINE_BYTES];
static int count;

static void add(const char *name, unsigned long long value) {
  if (count < MOST_LINES) snprintf(lines[count++], LINE_BYTES, "%s %llu", name, value);
}

#define SIZE(type) add("sizeof " #type, sizeof(type))
#define FIELD(type, field) add(#type "." #field, offsetof(type, field))
#define VALUE(name) add(#name, (unsigned long long)(name))

static void list_constants(void) {
  VALUE(SEGNAS_MAX_RANK);
  VALUE(SEGNAS_OK);
  VALUE(SEGNAS_INVALID_ARGUMENT);
  VALUE(SEGNAS_OUT_OF_MEMORY);
  VALUE(SEGNAS_NO_KERNEL);
  VALUE(SEGNAS_BUSY);
  VALUE(SEGNAS_BACKEND_MISSING);
  VALUE(SEGNAS_BACKEND_FAILED);
  VALUE(SEGNAS_INTERNAL);
  VALUE(SEGNAS_F32);
  VALUE(SEGNAS_U8);
  VALUE(SEGNAS_I64);
  VALUE(SEGNAS_F64);
  VALUE(SEGNAS_F16);
  VALUE(SEGNAS_BF16);
  VALUE(SEGNAS_BILINEAR);
  VALUE(SEGNAS_NEAREST);
  VALUE(SEGNAS_CLIP_PACT);
  VALUE(SEGNAS_CLIP_STEP);
  VALUE(SEGNAS_LAYER_CONV3X3);
  VALUE(SEGNAS_LAYER_DWCONV);
  VALUE(SEGNAS_LAYER_PWCONV);
  VALUE(SEGNAS_LAYER_UPSAMPLE_ADD);
  VALUE(SEGNAS_LAYER_LABELS);
  VALUE(SEGNAS_LAYER_AVG_POOL);
  VALUE(SEGNAS_LAYER_UPSAMPLE);
  VALUE(SEGNAS_LAYER_NEAREST_ADD);
  VALUE(SEGNAS_PRECISION_F32);
  VALUE(SEGNAS_PRECISION_BF16);
  VALUE(SEGNAS_PRECISION_F16);
  VALUE(SEGNAS_PRECISION_INT8);
  VALUE(SEGNAS_FUSION_AUTO);
  VALUE(SEGNAS_FUSION_ALWAYS);
  VALUE(SEGNAS_FUSION_NEVER);
  VALUE(SEGNAS_BACKEND_VERSION);
}

static void list_public_structs(void) {
  SIZE(segnas_error);
  FIELD(segnas_error, text);
  SIZE(segnas_context_options);
  FIELD(segnas_context_options, threads);
  FIELD(segnas_context_options, device);
  FIELD(segnas_context_options, isa);
  FIELD(segnas_context_options, plugin_dir);
  SIZE(segnas_tensor);
  FIELD(segnas_tensor, offset);
  FIELD(segnas_tensor, dtype);
  FIELD(segnas_tensor, rank);
  FIELD(segnas_tensor, shape);
  FIELD(segnas_tensor, stride);
  SIZE(segnas_quantiser);
  FIELD(segnas_quantiser, bits);
  FIELD(segnas_quantiser, is_signed);
  FIELD(segnas_quantiser, gradient);
  FIELD(segnas_quantiser, scale);
  SIZE(segnas_layer);
  FIELD(segnas_layer, kind);
  FIELD(segnas_layer, input);
  FIELD(segnas_layer, input2);
  FIELD(segnas_layer, channels);
  FIELD(segnas_layer, kernel);
  FIELD(segnas_layer, stride);
  FIELD(segnas_layer, relu);
  FIELD(segnas_layer, group);
  FIELD(segnas_layer, weights);
  FIELD(segnas_layer, bias);
  FIELD(segnas_layer, dilation);
  FIELD(segnas_layer, weight_bits);
  FIELD(segnas_layer, input_bits);
  FIELD(segnas_layer, input_signed);
  FIELD(segnas_layer, input_step);
  FIELD(segnas_layer, weight_steps);
  SIZE(segnas_session_options);
  FIELD(segnas_session_options, precision);
  FIELD(segnas_session_options, input);
  FIELD(segnas_session_options, scale);
  FIELD(segnas_session_options, shift);
  FIELD(segnas_session_options, fusion);
}

static void list_plugin_structs(void) {
  SIZE(segnas_host);
  FIELD(segnas_host, version);
  FIELD(segnas_host, interface_hash);
  FIELD(segnas_host, log);
  FIELD(segnas_host, parallel_for);
  SIZE(segnas_backend);
  FIELD(segnas_backend, version);
  FIELD(segnas_backend, interface_hash);
  FIELD(segnas_backend, name);
  FIELD(segnas_backend, device_count);
  FIELD(segnas_backend, session_create);
  FIELD(segnas_backend, ops);
  SIZE(segnas_network);
  FIELD(segnas_network, count);
  FIELD(segnas_network, values);
  FIELD(segnas_network, options);
  SIZE(segnas_value_shape);
  SIZE(segnas_backend_ops);
  FIELD(segnas_backend_ops, conv3x3_forward);
  FIELD(segnas_backend_ops, axpy);
  SIZE(segnas_buffer_head);
  FIELD(segnas_buffer_head, memory);
  FIELD(segnas_buffer_head, bytes);
}

static int write_golden(const char *path) {
  FILE *file = fopen(path, "w");
  int i;
  if (!file) {
    perror(path);
    return 1;
  }
  for (i = 0; i < count; i++) fprintf(file, "%s\n", lines[i]);
  return fclose(file) != 0;
}

static int compare_golden(const char *path) {
  char line[LINE_BYTES];
  int at = 0, failed = 0;
  FILE *file = fopen(path, "r");
  if (!file) {
    perror(path);
    return 1;
  }
  while (fgets(line, sizeof line, file)) {
    line[strcspn(line, "\n")] = 0;
    if (at >= count || strcmp(line, lines[at]) != 0) {
      printf("abi_test: %s should be: %s\n", at < count ? lines[at] : "nothing", line);
      failed++;
    }
    at++;
  }
  fclose(file);
  for (; at < count; at++, failed++) printf("abi_test: %s is not in %s\n", lines[at], path);
  if (strcmp(segnas_version(), SEGNAS_BUILD_VERSION) != 0) {
    printf("abi_test: the library calls itself %s, the build %s\n", segnas_version(), SEGNAS_BUILD_VERSION);
    failed++;
  }
  snprintf(line, sizeof line, "%d.%d.", SEGNAS_VERSION_MAJOR, SEGNAS_VERSION_MINOR);
  if (strncmp(segnas_version(), line, strlen(line)) != 0) {
    printf("abi_test: the library is %s, the header %s\n", segnas_version(), line);
    failed++;
  }
  printf("%d passed, %d failed\n", at + 2 - failed, failed);
  return failed != 0;
}

int main(int argc, char **argv) {
  list_constants();
  list_public_structs();
  list_plugin_structs();
  if (argc == 3 && strcmp(argv[1], "--write") == 0) return write_golden(argv[2]);
  if (argc == 2) return compare_golden(argv[1]);
  fprintf(stderr, "usage: abi_test [--write] GOLDEN\n");
  return 2;
}
