use std::sync::Mutex;

use burn::tensor::wgpu::{WgpuBackend, WgpuSetup};
use burn::tensor::{Device as BurnDevice, Tensor};

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
            Ok((inner, setup)) => return checked(Device::gpu(name(&setup, api_name), inner)),
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

/// A driver can offer a device that then fails at the first kernel.
fn checked(device: Device) -> Result<Device, DeviceError> {
    let sum = Tensor::<1>::ones([2], device.burn()).add_scalar(1.0).sum().try_into_data();
    match sum.map(|data| data.try_to_vec::<f32>()) {
        Ok(Ok(values)) if values == [4.0] => Ok(device),
        Ok(other) => Err(DeviceError::Unusable {
            name: device.name(),
            reason: format!("1 + 1 twice is {other:?}"),
        }),
        Err(error) => Err(DeviceError::Unusable { name: device.name(), reason: error.to_string() }),
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
