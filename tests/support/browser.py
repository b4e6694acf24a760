"""Checks of a page that is open in a browser."""


def assert_silent(driver):
    assert driver.get_log("browser") == [], "the console stays empty"
    assert driver.execute_script("return window.failures") == []
