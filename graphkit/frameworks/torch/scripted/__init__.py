"""TorchScript archives, which are programs: loaded, run and captured in a process of their own, with limits."""
