package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"syscall"

	"github.com/gatehouse/gatehouse/internal/flags"
)

// listen opens the port; an error says which address it was about and what to do.
func listen(ctx context.Context, o *flags.Options) (net.Listener, error) {
	address := o.ListenAddress()
	ln, err := new(net.ListenConfig).Listen(ctx, "tcp", address)
	switch {
	case err == nil:
		return ln, nil
	case errors.Is(err, syscall.EADDRINUSE):
		return nil, fmt.Errorf("%s is in use by another process: stop that, or choose a port with --secure-port (0 finds a free one)", address)
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		return nil, fmt.Errorf("%s is not an address of this machine: choose one with --bind-address", address)
	case errors.Is(err, syscall.EACCES):
		return nil, fmt.Errorf("%s needs privileges that this process lacks: choose a port from 1024 on with --secure-port", address)
	}
	return nil, fmt.Errorf("listen on %s: %w", address, err)
}
