package core

import (
	corev1 "k8s.io/api/core/v1"

	"github.com/gatehouse/gatehouse/rules"
)

// CheckOverhead holds what a runtime needs beside the containers of a pod to the rules for limits of containers, at the path of c.
func CheckOverhead(c *rules.Checker, list corev1.ResourceList) { checkOverhead(c, &list, nil) }
