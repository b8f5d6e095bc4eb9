// Package network holds the rules of the kinds by which traffic finds its way: Service, Endpoints and EndpointSlice, Ingress and
// IngressClass, NetworkPolicy, and the addresses that Services get. What crosses objects, such as which address is free, is not
// here: package services decides that.
package network
