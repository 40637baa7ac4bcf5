use std::sync::Mutex;

use burn::tensor::wgpu::{WgpuBackend, WgpuSetup};
use burn::tensor::{Device as BurnDevice, FloatDType, Tensor, TensorData};

use crate::device::{Device, DeviceError};

#[cfg(target_vendor = "apple")]
const APIS: &[(WgpuBackend, &str)] = &[(WgpuBackend::Metal, "Metal")];
#[cfg(windows)]
const APIS: &[(WgpuBackend, &str)] =
    &[(WgpuBackend::Vulkan, "Vulkan"), (WgpuBackend::Dx12, "DX12")];
#[cfg(not(any(target_vendor = "apple", windows)))]
const APIS: &[(WgpuBackend, &str)] = &[(WgpuBackend::Vulkan, "Vulkan")];

/// burn registers a GPU once a process and refuses a second time, so the first opening is kept.
static OPENED: Mutex<Option<Device>> = Mutex::new(None);

/// Opens the best adapter of the first graphics API that has one.
///
/// burn's own constructors open lazily, on a thread of their own, and panic there when no adapter is
/// found; asking for the set-up first turns that into an error.
pub(crate) fn open() -> Result<Device, DeviceError> {
    let mut opened = OPENED.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    if let Some(device) = opened.as_ref() {
        return Ok(device.clone());
    }
    let device = first_of(APIS)?;
    *opened = Some(device.clone());
    Ok(device)
}

fn first_of(apis: &[(WgpuBackend, &'static str)]) -> Result<Device, DeviceError> {
    let mut failure = None;
    for &(api, api_name) in apis {
        match BurnDevice::wgpu_options().graphics_api(api).init_with_setup() {
            Ok((inner, setup)) => {
                let device = Device::gpu(name(&setup, api_name), inner);
                return proven(&device, FloatDType::F32).map(|()| device);
            }
            Err(error) => {
                failure.get_or_insert(DeviceError::NoAdapter {
                    api: api_name,
                    reason: error.to_string(),
                });
            }
        }
    }
    Err(failure.expect("every platform has a graphics API to try"))
}

/// Multiplies two matrices of small whole numbers, whose product is exact in any order, float16 included.
///
/// Drivers exist that offer a device and then fail at the first kernel, or compile a matrix
/// multiplication into something else; every score would be wrong, and nothing would say so.
pub(crate) fn proven(device: &Device, floats: FloatDType) -> Result<(), DeviceError> {
    const SIZE: usize = 65;
    let number = |row: usize, column: usize| ((row * 7 + column * 3) % 11) as f32 - 5.0;
    let cells = || (0..SIZE * SIZE).map(|cell| (cell / SIZE, cell % SIZE));
    let values: Vec<f32> = cells().map(|(row, column)| number(row, column)).collect();
    let expected: Vec<f32> = cells()
        .map(|(row, column)| (0..SIZE).map(|k| number(row, k) * number(k, column)).sum())
        .collect();
    let unusable = |reason| DeviceError::Unusable { name: device.name(), reason };
    let options = (device.burn(), floats.into());
    let matrix = Tensor::<2>::from_data(TensorData::new(values, [SIZE, SIZE]), options);
    let product = matrix
        .clone()
        .matmul(matrix)
        .cast(FloatDType::F32)
        .try_into_data()
        .map_err(|error| unusable(error.to_string()))?
        .try_to_vec::<f32>()
        .map_err(|error| unusable(error.to_string()))?;
    match product == expected {
        true => Ok(()),
        false => Err(unusable(format!("a product of two {floats:?} matrices comes out wrong"))),
    }
}

fn name(setup: &WgpuSetup, api: &str) -> String {
    let info = setup.adapter.get_info();
    match info.device_type {
        burn::tensor::wgpu::wgpu::DeviceType::Cpu => {
            format!("{} (wgpu, {api}, software: slow)", info.name)
        }
        _ => format!("{} (wgpu, {api})", info.name),
    }
}
