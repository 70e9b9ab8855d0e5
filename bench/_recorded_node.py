"""A recorded node made up for benchmarks and tests: eight GPUs, their fabric, cards, log and one all-reduce.

The forms are those of the tools; no figure is of a real machine. `outputs()` gives name -> text.
"""

from __future__ import annotations

H100 = "NVIDIA H100 80GB HBM3"
_GPU = """	<gpu id="00000000:{bus}:00.0">
		<product_name>{product}</product_name>
		<product_brand>NVIDIA</product_brand>
		<product_architecture>Hopper</product_architecture>
		<persistence_mode>{persistence}</persistence_mode>
		<mig_mode><current_mig>Disabled</current_mig><pending_mig>Disabled</pending_mig></mig_mode>
		<mig_devices>None</mig_devices>
		<uuid>GPU-{bus}</uuid>
		<vbios_version>96.00.74.00.01</vbios_version>
		<inforom_version><img_version>G520.0200.00.05</img_version></inforom_version>
		<gsp_firmware_version>550.90.07</gsp_firmware_version>
		<gpu_virtualization_mode><virtualization_mode>None</virtualization_mode></gpu_virtualization_mode>
		<gpu_reset_status><reset_required>No</reset_required></gpu_reset_status>
		<pci>
			<pci_device_id>233010DE</pci_device_id>
			<pci_gpu_link_info>
				<pcie_gen><max_link_gen>5</max_link_gen><current_link_gen>5</current_link_gen></pcie_gen>
				<link_widths><max_link_width>16x</max_link_width><current_link_width>16x</current_link_width></link_widths>
			</pci_gpu_link_info>
			<replay_counter>0</replay_counter>
		</pci>
		<performance_state>P0</performance_state>
		<clocks_event_reasons>
			<clocks_event_reason_gpu_idle>Active</clocks_event_reason_gpu_idle>
			<clocks_event_reason_hw_slowdown>{slowdown}</clocks_event_reason_hw_slowdown>
			<clocks_event_reason_hw_thermal_slowdown>Not Active</clocks_event_reason_hw_thermal_slowdown>
			<clocks_event_reason_hw_power_brake_slowdown>{slowdown}</clocks_event_reason_hw_power_brake_slowdown>
			<clocks_event_reason_sw_thermal_slowdown>Not Active</clocks_event_reason_sw_thermal_slowdown>
		</clocks_event_reasons>
		<fb_memory_usage><total>81559 MiB</total><used>0 MiB</used></fb_memory_usage>
		<compute_mode>Default</compute_mode>
		<ecc_mode><current_ecc>Enabled</current_ecc><pending_ecc>Enabled</pending_ecc></ecc_mode>
		<ecc_errors>
			<volatile><sram_uncorrectable_parity>0</sram_uncorrectable_parity>
				<dram_uncorrectable>{dram}</dram_uncorrectable></volatile>
			<aggregate><sram_uncorrectable_parity>0</sram_uncorrectable_parity>
				<dram_uncorrectable>0</dram_uncorrectable></aggregate>
		</ecc_errors>
		<remapped_rows><remapped_row_pending>No</remapped_row_pending>
			<remapped_row_failure>No</remapped_row_failure></remapped_rows>
		<temperature><gpu_temp>30 C</gpu_temp><gpu_temp_tlimit>55 C</gpu_temp_tlimit></temperature>
		<gpu_power_readings><power_draw>70.00 W</power_draw><current_power_limit>700.00 W</current_power_limit>
			<default_power_limit>700.00 W</default_power_limit></gpu_power_readings>
		<clocks><sm_clock>1980 MHz</sm_clock></clocks>
		<applications_clocks><graphics_clock>1980 MHz</graphics_clock></applications_clocks>
		<default_applications_clocks><graphics_clock>1980 MHz</graphics_clock></default_applications_clocks>
		<fabric><state>{fabric}</state><status>Success</status></fabric>
		<supported_clocks>{clocks}</supported_clocks>
		<processes></processes>
	</gpu>
"""
_CLOCKS = "".join(f"<supported_graphics_clock>{rate} MHz</supported_graphics_clock>" for rate in range(210, 1981, 15))
_PORT = """CA 'mlx5_{index}'
	CA type: {kind}
	Number of ports: 1
	Firmware version: 28.39.1002
	Port 1:
		State: {state}
		Physical state: {physical}
		Rate: {rate}
		Link layer: InfiniBand
"""


def smi_xml(
    count: int = 8,
    *,
    product: str = H100,
    persistence: str = "Enabled",
    slowdown: str = "Not Active",
    dram: int = 0,
    fabric: str = "Completed",
) -> str:
    """`nvidia-smi -q -x`."""
    gpus = "".join(
        _GPU.format(
            bus=f"{16 + index * 8:02X}",
            product=product,
            persistence=persistence,
            slowdown=slowdown,
            dram=dram,
            fabric=fabric,
            clocks=_CLOCKS,
        )
        for index in range(count)
    )
    head = '<?xml version="1.0" ?>\n<!DOCTYPE nvidia_smi_log SYSTEM "nvsmi_device_v12.dtd">\n<nvidia_smi_log>\n'
    told = f"\t<driver_version>550.90.07</driver_version>\n\t<attached_gpus>{count}</attached_gpus>\n"
    return f"{head}{told}{gpus}</nvidia_smi_log>\n"


def topology(count: int = 8, links: int = 18) -> str:
    """`nvidia-smi topo -m`."""
    names = [f"GPU{index}" for index in range(count)]
    rows = ["\t" + "\t".join([*names, "CPU Affinity", "NUMA Affinity"])]
    for index, name in enumerate(names):
        cells = [" X " if index == other else f"NV{links}" for other in range(count)]
        rows.append("\t".join([name, *cells, "0-51", str(index * 2 // count)]))
    return "\n".join(rows) + "\n\nLegend:\n\n  X    = Self\n  NV#  = Connection over # NVLinks\n"


def nvlinks(count: int = 8, links: int = 18, product: str = H100) -> str:
    """`nvidia-smi nvlink -s`."""
    one = "".join(f"\t Link {link}: 26.562 GB/s\n" for link in range(links))
    return "".join(f"GPU {index}: {product} (UUID: GPU-{index})\n{one}" for index in range(count))


def ports(count: int = 8, down: tuple[int, ...] = ()) -> str:
    """`ibstat`."""
    return "".join(
        _PORT.format(
            index=index,
            kind="MT4129",
            state="Down" if index in down else "Active",
            physical="Polling" if index in down else "LinkUp",
            rate=40 if index in down else 400,
        )
        for index in range(count)
    )


def all_reduce(curve: dict[int, float], *, ranks: int = 16, product: str = H100) -> str:
    """nccl-tests' all_reduce_perf; `curve`: MiB -> bus bandwidth in GB/s."""
    factor = 2 * (ranks - 1) / ranks
    devices = "".join(
        f"#  Rank {rank:2d} Group  0 Pid {1000 + rank} on node{rank // 8} device {rank % 8} [0x{rank:02x}] {product}\n"
        for rank in range(ranks)
        if product
    )
    rows = "".join(
        f"{mib << 20:12d} {mib << 18:12d}     float     sum      -1   1000.0  {bus / factor:.2f}  {bus:.2f}      0"
        f"   1000.0  {bus / factor:.2f}  {bus:.2f}      0\n"
        for mib, bus in curve.items()
    )
    head = "#       size         count      type   redop    root     time   algbw   busbw #wrong\n"
    return f"# Using devices\n{devices}#\n{head}{rows}# Out of bounds values : 0 OK\n# Avg bus bandwidth    : 99.5\n#\n"


def outputs() -> dict[str, str]:
    """Everything that is recorded of a whole and healthy node."""
    log = "".join(f"[{second:5d}.000000] usb 1-1: device {second}\n" for second in range(500))
    return {
        "smi.xml": smi_xml(),
        "topo.txt": topology(),
        "nvlink.txt": nvlinks(),
        "ibstat.txt": ports(),
        "dmesg.txt": f"[    0.000000] Linux version 5.15.0\n{log}",
        "nccl.log": all_reduce({1024: 446.0, 2048: 459.0, 8192: 470.0}),
    }
