"""Tenancy: the part of this room that every other room builds on."""
