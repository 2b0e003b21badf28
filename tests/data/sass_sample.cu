// Products of an index, 16 bytes a store, and a tail of single stores.
template <class T>
__global__ void fill_kernel(T* out, unsigned count) {
  const unsigned threads = gridDim.x * blockDim.x;
  unsigned i = blockIdx.x * blockDim.x + threadIdx.x;
#pragma unroll 1
  for (; 4 * i + 4 <= count; i += threads) {
    const unsigned long long product = (unsigned long long)i * 0xD2511F53u;
    const unsigned low = product, high = product >> 32;
    reinterpret_cast<float4*>(out)[i] =
        make_float4((int)low, (int)high, (int)(low ^ high), __fmaf_rn((int)low, 0.5f, 1.0f));
  }
#pragma unroll 1
  for (i = 4 * (count / 4) + threadIdx.x; i < count; i += threads) out[i] = i;
}
template __global__ void fill_kernel<float>(float*, unsigned);
