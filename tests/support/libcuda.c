// A stand-in for NVIDIA's driver: what a build asks it, answered from macros.
//   cc -shared -fPIC -DCUDA=13000 -DGPUS=80,90 -o libcuda.so.1 libcuda.c
#define MAJOR 75  // of CUdevice_attribute
#define MINOR 76
#ifndef STATUS
#define STATUS 0
#endif

static const int gpus[] = {GPUS};

int cuDriverGetVersion(int* version) {
  *version = CUDA;
  return STATUS;
}

int cuInit(unsigned flags) { return flags || !gpus[0] ? 100 : STATUS; }

int cuDeviceGetCount(int* count) {
  *count = sizeof(gpus) / sizeof(gpus[0]);
  return STATUS;
}

int cuDeviceGet(int* device, int ordinal) {
  *device = 7 + ordinal;  // a handle need not be the ordinal
  return STATUS;
}

int cuDeviceGetAttribute(int* value, int attribute, int device) {
  int number = gpus[device - 7];
  *value = attribute == MAJOR ? number / 10 : attribute == MINOR ? number % 10 : -1;
  return STATUS;
}
