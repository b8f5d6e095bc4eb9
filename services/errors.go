package services

import (
	"errors"
	"fmt"
	"net/netip"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/net"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/gatehouse/gatehouse/api"
)

// Why an address or a port was not given. The texts are part of answers.
var (
	// ErrTaken is what [Addresses] returns for an address that exists.
	ErrTaken = errors.New("provided IP is already allocated")

	errFull          = errors.New("range is full")
	errNoRange       = errors.New("the provided network does not match the current range")
	errPortTaken     = errors.New("provided port is already allocated")
	errUninitialized = errors.New("cannot allocate resources of type servicenodeportallocations at this time")
	errOtherRange    = errors.New("the provided range does not match the current range")
)

func errNotInRange(a netip.Addr, valid netip.Prefix) error {
	return fmt.Errorf("the provided IP (%v) is not in the valid range. The range of valid IPs is %s", a, valid)
}

func errPortNotInRange(r net.PortRange) error {
	return fmt.Errorf("provided port is not in the valid range. The range of valid ports is %s", r.String())
}

// invalid refuses a Service for its fields.
func invalid(name string, errs ...*field.Error) error {
	return api.Invalid(schema.GroupKind{Kind: "Service"}, name, errs)
}

// internal is a failure that the client is told the cause of, as the reference does: it holds nothing but the name of what is used up.
func internal(cause error) error {
	return (&api.Error{Status: apierrors.NewInternalError(cause).ErrStatus}).Wrap(cause)
}

var (
	spec           = field.NewPath("spec")
	clusterIPsPath = spec.Child("clusterIPs")
	familiesPath   = spec.Child("ipFamilies")
	policyPath     = spec.Child("ipFamilyPolicy")
)

func nodePortPath(i int) *field.Path { return spec.Child("ports").Index(i).Child("nodePort") }
